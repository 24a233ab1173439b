/* cli_http_curl.h - how a command of `tally` speaks to the node's endpoint. Private to the program.
 *
 * Which node: the one whose folder it is. Its run.json names address and id, and every request carries the id, so that a node
 * which has the port by now does not answer, or charge, in its place. There is no usual port to fall back to. --api asks
 * whoever is there.
 */
#ifndef TALLYMESH_NODE_CLI_HTTP_CURL_H
#define TALLYMESH_NODE_CLI_HTTP_CURL_H

#include <curl/curl.h>

#include "node/cli.h"

struct text { char *data; size_t len; };               /* grown by text_collect(); data is the caller's to free() */
size_t text_collect(char *data, size_t size, size_t n, void *text);    /* a CURLOPT_WRITEFUNCTION */

/* Fills in api, node and api_key unless --api said where. EXIT_FINE, or EXIT_NO_NODE said. */
int cli_find_node(struct cli *c);
/* After cli_find_node(). Adds to *headers, which the caller frees. NULL: no memory. */
CURL *cli_request(struct cli *c, const char *path, struct curl_slist **headers);
/* Nobody answered. */
int cli_no_answer(struct cli *c, CURLcode rc);
/* The node said no: error is the "error" of its answer, or NULL. The sentence, and the exit code that fits. */
int cli_refused(struct cli *c, long status, const json_t *error);

/* Text of a member, "" if it is none; a number, or a decimal string, 0 if it is none. */
const char *json_text_of(const json_t *o, const char *key);
uint64_t json_number_of(const json_t *o, const char *key);

#endif
