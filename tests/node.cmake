include(node_transport.cmake)
include(node_shell.cmake)
