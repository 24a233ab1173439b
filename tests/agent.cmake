# The agent: messages, machines, and several agents in one process.
foreach(name two_agents)
  tm_test(NAME test_${name} SOURCES agent/test_${name}.c agent/world.c LINK tm_agent)
endforeach()
