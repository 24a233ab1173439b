# Whole nodes in virtual time. The link line is the layering rule: the agent and what it stands on, nothing that touches a machine.
add_executable(sim sim/sim_main.c sim/sim.c sim/queue.c sim/net.c sim/engine.c sim/clients.c sim/faults.c sim/vices.c sim/check.c sim/promises.c
               sim/verify_cache.c)
target_link_libraries(sim PRIVATE tm_agent tm_dht tm_ledger tm_crypto tm_options)
target_link_options(sim PRIVATE -Wl,--wrap=key_verify)     # sim/verify_cache.c

function(sim_test name timeout)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS sim TIMEOUT ${timeout})
endfunction()
sim_test(sim_repeat 120 sim --seed 3 --nodes 30 --minutes 2 --repeat)
sim_test(sim_seeds 600 sim --seeds 1..15 --nodes 30 --minutes 2)
sim_test(sim_regress 300 sim --regress tests/sim/seeds_regress.txt)
sim_test(sim_200 600 sim --seed 1 --nodes 200 --minutes 3)
sim_test(sim_links_finds_faults 60 bash tests/sim/links.sh --self-test)
sim_test(sim_links 30 bash tests/sim/links.sh $<TARGET_FILE:sim>)
foreach(plant RANGE 1 4)                                    # what is planted must be found: a check that cannot fail is none
  sim_test(sim_plant_${plant} 120 sim --seeds 1..8 --nodes 12 --minutes 2 --plant ${plant})
  set_tests_properties(sim_plant_${plant} PROPERTIES WILL_FAIL TRUE)
endforeach()
