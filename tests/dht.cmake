add_library(tm_dht_net STATIC dht/net.c)
target_link_libraries(tm_dht_net PUBLIC tm_dht)
tm_test(NAME test_overlay_net SOURCES unit/test_overlay_net.c LINK tm_dht_net)
