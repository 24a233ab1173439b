# The transport's rules, each attacked: with libzmq's own sockets where those can, else with raw TCP.
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)
add_library(tm_transport_rig STATIC transport_rig_zmq.c)
target_link_libraries(tm_transport_rig PUBLIC tm_transport PkgConfig::ZMQ PkgConfig::CMOCKA tm_options)

tm_test(NAME test_transport SOURCES unit/test_transport.c LINK tm_transport_rig LABELS "unit;shell")
tm_test(NAME test_supervise SOURCES unit/test_supervise.c LINK tm_supervise)
