# Whole nodes in virtual time. The link line is the layering rule: the agent and what it stands on, nothing that touches a machine.
add_executable(sim sim/sim_main.c sim/sim.c sim/queue.c sim/net.c sim/engine.c sim/clients.c sim/faults.c sim/vices.c sim/check.c sim/promises.c
               sim/verify_cache.c)
target_link_libraries(sim PRIVATE tm_agent tm_dht tm_ledger tm_crypto tm_options)
target_link_options(sim PRIVATE -Wl,--wrap=key_verify)     # sim/verify_cache.c

# sim_test(NAME SECONDS COMMAND ...): at most so many seconds of processor time. The wall clock has ten times that: a world that spins
# is still caught, and a machine on which others build is no failure of the simulator.
function(sim_test name seconds)
  math(EXPR wall "10 * ${seconds}")
  add_test(NAME ${name} COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/sim/within.sh ${seconds} ${ARGN} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS sim TIMEOUT ${wall})
endfunction()
sim_test(sim_repeat 120 $<TARGET_FILE:sim> --seed 3 --nodes 30 --minutes 2 --repeat)
sim_test(sim_seeds 600 $<TARGET_FILE:sim> --seeds 1..15 --nodes 30 --minutes 2)
sim_test(sim_regress 300 $<TARGET_FILE:sim> --regress tests/sim/seeds_regress.txt)
add_test(NAME sim_within_finds_faults COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/sim/within.sh --self-test)
set_tests_properties(sim_within_finds_faults PROPERTIES LABELS sim TIMEOUT 60)
sim_test(sim_200 600 $<TARGET_FILE:sim> --seed 1 --nodes 200 --minutes 3)
sim_test(sim_links_finds_faults 60 bash tests/sim/links.sh --self-test)
sim_test(sim_links 30 bash tests/sim/links.sh $<TARGET_FILE:sim>)
sim_test(sim_two_faced 120 $<TARGET_FILE:sim> --seeds 2..3 --nodes 20 --minutes 2 --two-faced 3)
function(sim_plant number what)                             # what is planted must be found: a check that cannot fail is none
  sim_test(sim_plant_${number} 120 bash tests/sim/plant.sh $<TARGET_FILE:sim> ${number} ${what})
endfunction()
sim_plant(1 "token [0-9]+ of an answer is [0-9]+, the model says")
sim_plant(2 "(holds a claim over [0-9]+ tokens, requester [0-9]+ one over [0-9]+|and requester [0-9]+ disagree: receipt|has lost receipt|.* that its store does not hold)")
sim_plant(3 "(sends a receipt that its store does not hold|signed two different things: receipt of the provider)")
sim_plant(4 "a receipt is still due from node [0-9]+, which is connected")
