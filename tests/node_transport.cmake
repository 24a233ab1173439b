# The transport's rules, each attacked: with libzmq's own sockets where those can, else with raw TCP.
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)
add_library(tm_transport_rig STATIC transport_rig_zmq.c zmtp_raw_posix.c)
target_link_libraries(tm_transport_rig PUBLIC tm_transport tm_supervise PkgConfig::ZMQ PkgConfig::CMOCKA tm_options)

tm_test(NAME test_admission SOURCES unit/test_admission.c LINK tm_transport)
tm_test(NAME test_transport SOURCES unit/test_transport.c LINK tm_transport_rig LABELS "unit;shell")
tm_test(NAME test_transport_entry SOURCES unit/test_transport_entry.c LINK tm_transport_rig LABELS "unit;shell")
tm_test(NAME test_transport_frames SOURCES unit/test_transport_frames.c LINK tm_transport_rig LABELS "unit;shell")
tm_test(NAME test_transport_restart SOURCES e2e/test_transport_restart.c LINK tm_transport_rig LABELS e2e)
tm_test(NAME test_supervise SOURCES unit/test_supervise.c LINK tm_supervise)

add_executable(bench_transport bench_transport.c)          # figures for docs/benchmarks.md, not a test
target_link_libraries(bench_transport PRIVATE tm_transport)

tm_script(NAME check_zmq_rules COMMAND ${CMAKE_SOURCE_DIR}/tests/check/zmq_rules.sh LABELS check)
