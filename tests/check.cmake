# The rules of style and layering that a script can keep. Each check also proves, in a test of its own, that it can fail.
foreach(check layers source protocol_refs purity headers)
  tm_script(NAME check_${check}_finds_faults COMMAND bash ${CMAKE_SOURCE_DIR}/tests/check/${check}.sh --self-test LABELS check)
endforeach()
tm_script(NAME check_layers COMMAND bash ${CMAKE_SOURCE_DIR}/tests/check/layers.sh LABELS check)
tm_script(NAME check_source COMMAND bash ${CMAKE_SOURCE_DIR}/tests/check/source.sh LABELS check)
tm_script(NAME check_protocol_refs COMMAND bash ${CMAKE_SOURCE_DIR}/tests/check/protocol_refs.sh LABELS check)

set(flags)
foreach(folder ${SODIUM_INCLUDE_DIRS} ${JANSSON_INCLUDE_DIRS} ${ZMQ_INCLUDE_DIRS} ${LMDB_INCLUDE} ${MICROHTTPD_INCLUDE_DIRS} ${PCRE2_INCLUDE_DIRS})
  list(APPEND flags -isystem ${folder})
endforeach()
tm_script(NAME check_headers COMMAND bash ${CMAKE_SOURCE_DIR}/tests/check/headers.sh ${CMAKE_SOURCE_DIR} ${CMAKE_C_COMPILER} ${flags}
          LABELS check)

set(pure)
foreach(layer base crypto dht ledger agent kernels)
  if(TARGET tm_${layer})
    list(APPEND pure ${layer}=$<TARGET_FILE:tm_${layer}>)
  endif()
endforeach()
tm_script(NAME check_purity COMMAND bash ${CMAKE_SOURCE_DIR}/tests/check/purity.sh ${pure} LABELS check)
