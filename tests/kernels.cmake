# The two halves of kernels/: what a model file says, and what is computed with it.
foreach(half file engine)
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/kernels_${half}.cmake)
    include(kernels_${half}.cmake)
  endif()
endforeach()
include(kernels_arm.cmake)
