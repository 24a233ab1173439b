# The agent: messages, machines, and several agents in one process.
foreach(name agent_market agent_faults)
  tm_test(NAME test_${name} SOURCES agent/test_${name}.c agent/world.c LINK tm_agent)
endforeach()
