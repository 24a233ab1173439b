/* fuzz_cert.c - an accepted certificate encodes to the same bytes, and only the corpus's own is believed. */
#include <stdlib.h>
#include <string.h>

#include "crypto/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r;
    struct cert c;
    uint8_t again[CERT_BYTES_MAX];
    struct writer w;
    struct bytes out;
    reader_init(&r, bytes_of(data, size));
    cert_read(&r, &c);
    if (reader_finish(&r) != OK)
        return 0;
    writer_init(&w, again, sizeof again);
    cert_write(&w, &c);
    if (writer_finish(&w, &out) != OK || !bytes_equal(out, bytes_of(data, size)))
        abort();
    struct net_id net = net_id_of("testnet");
    struct pubkey other = c.node;
    enum err e = cert_verify(&c, &net, &c.node, (struct wall){ 0 });
    if (e != OK && e != ERR_SIGNATURE)
        abort();
    other.b[0] ^= 1;
    if (cert_verify(&c, &net, &other, (struct wall){ 0 }) != ERR_CERT)
        abort();
    return 0;
}
