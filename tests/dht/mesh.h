/* mesh.h - what the network tests do with a whole net: start it, offer, look for, talk. For cmocka programs. */
#ifndef TALLYMESH_TESTS_DHT_MESH_H
#define TALLYMESH_TESTS_DHT_MESH_H

#include "tests/dht/net.h"

void mesh_start(struct net *n, size_t nodes);              /* node 0 first, the others 20 ms apart, all by way of node 0 */
size_t mesh_joined(struct net *n, size_t nodes);
void mesh_advertise(struct net *n, size_t i, unsigned model);
void mesh_find(struct net *n, size_t i, unsigned model);
size_t mesh_providers(struct net *n, size_t i, unsigned model);
size_t mesh_models(struct net *n, size_t i);               /* adverts that node i can list */
void mesh_gossip(struct net *n, size_t i);

#endif
