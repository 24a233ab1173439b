# Real processes on loopback: real keys, sockets, ledgers, models. One at a time.
foreach(cheat token:worker_next stop:worker_next model:worker_open price:claim_make free:requester_claim)
  string(REPLACE ":" ";" parts ${cheat})
  list(GET parts 0 cheat_name)
  list(GET parts 1 wrapped)
  add_executable(cheat_${cheat_name} ${CMAKE_SOURCE_DIR}/node/tallyd_main.c cheats/cheat_${cheat_name}.c)
  target_link_libraries(cheat_${cheat_name} PRIVATE tm_shell)
  target_link_options(cheat_${cheat_name} PRIVATE -Wl,--wrap=${wrapped})
endforeach()

# An answer with a middle, on a machine of any speed.
add_executable(slow_tallyd ${CMAKE_SOURCE_DIR}/node/tallyd_main.c e2e/slow_tallyd.c)
target_link_libraries(slow_tallyd PRIVATE tm_shell)
target_link_options(slow_tallyd PRIVATE -Wl,--wrap=engine_step)

add_executable(broken_tallyd ${CMAKE_SOURCE_DIR}/node/tallyd_main.c e2e/broken_tallyd.c)
target_link_libraries(broken_tallyd PRIVATE tm_shell)
target_link_options(broken_tallyd PRIVATE -Wl,--wrap=engine_open)

# A peer that keeps two books, for the wallet to show.
add_executable(freeze_channel e2e/freeze_channel.c)
target_link_libraries(freeze_channel PRIVATE tm_shell)

foreach(script pidfile systemd operator openai_client failover cheats free_tokens crash testnets two_machines passphrase certificates wallet cli pins model_file)
  tm_script(NAME e2e_${script} COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/e2e/${script}.sh LABELS e2e)
endforeach()

tm_script(NAME e2e_full_disk COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/e2e/full_disk.sh LABELS e2e TIMEOUT 300)

# The threads of the shell (HTTP, watcher, worker, loop) under whatever sanitizer this build has, with a model so small
# that the sanitizer's slowness does not matter.
add_executable(make_tiny_gguf make_tiny_gguf.c)
target_link_libraries(make_tiny_gguf PRIVATE tm_test_gguf)
tm_script(NAME shell_threads COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/e2e/openai_client.sh --tiny LABELS shell TIMEOUT 300)
