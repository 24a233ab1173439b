# The agent: its messages, and several agents in one process.
add_library(agent_messages STATIC agent/messages.c)
target_link_libraries(agent_messages PUBLIC tm_agent)
add_library(agent_world STATIC agent/world.c)
target_link_libraries(agent_world PUBLIC tm_agent PRIVATE PkgConfig::CMOCKA)

tm_test(NAME test_market_messages SOURCES unit/test_market_messages.c LINK agent_messages)
tm_test(NAME test_trust SOURCES unit/test_trust.c LINK tm_agent)
foreach(decoder offer bid terms_msg job)
  tm_fuzz(NAME fuzz_${decoder} SOURCES fuzz/fuzz_${decoder}.c LINK agent_messages)
endforeach()
foreach(name agent_market agent_bids agent_faults agent_messages agent_torture)
  tm_test(NAME test_${name} SOURCES agent/test_${name}.c LINK agent_world)
endforeach()
