/* fault.h - the sentence a person reads when a model file is refused.
 *
 * A code alone ("malformed file") helps nobody who has just downloaded 8 GB. Every function that judges a model file
 * returns an enum err for programs and fills a struct fault for people: what is wrong, where, and with which value.
 * Text from the file itself (names, types) is shown quoted, shortened, and with everything unprintable as '?', so that
 * it is safe on a terminal and in a log.
 *
 * Threads: pure; any thread.
 */
#ifndef TALLYMESH_KERNELS_FAULT_H
#define TALLYMESH_KERNELS_FAULT_H

#include "crypto/base.h"

enum { FAULT_TEXT_BYTES = 240, FAULT_NAME_BYTES = 72 };

struct fault {
    char text[FAULT_TEXT_BYTES];   /* one sentence without a full stop, NUL-terminated; "" while nothing failed */
};

/* Writes the sentence (cut to fit) and returns `code`, so that a check reads `return fault_set(why, ERR_FORMAT, ...)`.
 * why may be NULL: the caller wants only the code. */
enum err fault_set(struct fault *why, enum err code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A name from a file, made printable: shown.text is valid C text of at most FAULT_NAME_BYTES - 1 bytes. */
struct fault_name {
    char text[FAULT_NAME_BYTES];
};
struct fault_name fault_name(struct bytes raw);

#endif
