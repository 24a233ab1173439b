/* cheat_free.c - a requester that takes its tokens and never co-signs a claim; the rest of the program is tallyd's own.
 *
 * Linked with --wrap=requester_claim. It breaks no rule that a provider could see before it has worked; only what the provider
 * remembers of it can end this.
 */
#include "node/requester.h"

enum err __wrap_requester_claim(struct requester *r, const struct node_id *from, struct bytes body);

enum err __wrap_requester_claim(struct requester *r, const struct node_id *from, struct bytes body)
{
    (void)r;
    (void)from;
    (void)body;
    return OK;
}
