# The shell's parts that can be tested without a network.
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
tm_test(NAME test_config SOURCES unit/test_config.c LINK tm_shell)
tm_test(NAME test_api SOURCES unit/test_api.c LINK tm_shell PkgConfig::JANSSON)
tm_test(NAME test_answer_text SOURCES unit/test_answer_text.c LINK tm_shell tm_test_gguf)
tm_test(NAME test_worker SOURCES unit/test_worker.c LINK tm_shell tm_test_gguf LABELS unit shell)
tm_test(NAME test_memory_cap SOURCES unit/test_memory_cap.c LINK tm_shell tm_test_gguf)
tm_test(NAME test_effects SOURCES unit/test_effects.c LINK tm_shell)
target_link_options(test_effects PRIVATE -Wl,--wrap=agent_next -Wl,--wrap=node_handle -Wl,--wrap=transport_dial
                    -Wl,--wrap=transport_send -Wl,--wrap=transport_hangup)
tm_test(NAME test_commit_first SOURCES unit/test_commit_first.c LINK tm_shell)
target_include_directories(test_commit_first SYSTEM PRIVATE ${LMDB_INCLUDE})
foreach(call mdb_txn_commit agent_next transport_dial transport_send transport_hangup transport_mute gateway_tokens gateway_done
        gateway_failed node_header_ready node_header_failed node_directory_ready)
  target_link_options(test_commit_first PRIVATE -Wl,--wrap=${call})
endforeach()
tm_test(NAME test_catalog SOURCES unit/test_catalog.c LINK tm_shell tm_test_gguf)
tm_fuzz(NAME fuzz_api SOURCES fuzz/fuzz_api.c LINK tm_shell)
tm_test(NAME test_gateway SOURCES unit/test_gateway.c LINK tm_shell tm_test_gguf LABELS "unit;shell")
