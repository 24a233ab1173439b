include(node_transport.cmake)
