# The ledger: objects, stores, the book, two parties under faults, a process that is killed.
add_library(ledger_rig STATIC ledger_rig.c)
target_link_libraries(ledger_rig PUBLIC tm_ledger)

foreach(name amount terms claim receipt bundle ledger_vectors
        ledger ledger_credit ledger_unsigned ledger_channel ledger_secret ledger_pin ledger_torture ledger_parties)
  tm_test(NAME test_${name} SOURCES unit/test_${name}.c LINK ledger_rig)
endforeach()
foreach(decoder terms claim receipt note bundle)
  tm_fuzz(NAME fuzz_${decoder} SOURCES fuzz/fuzz_${decoder}.c LINK tm_ledger)
endforeach()
tm_fuzz(NAME fuzz_rows SOURCES fuzz/fuzz_rows.c sim/verify_cache.c sim/promises.c LINK ledger_rig MUTATIONS 100)
target_link_options(fuzz_rows PRIVATE -Wl,--wrap=key_verify)    # most rows are as they were in the run before
tm_test(NAME test_store SOURCES unit/test_store.c LINK tm_store_lmdb)

add_executable(crash_lmdb ledger/crash_lmdb.c)
target_link_libraries(crash_lmdb PRIVATE ledger_rig tm_store_lmdb)
add_test(NAME crash_lmdb COMMAND crash_lmdb 40 WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
add_executable(powercut ledger/powercut.c)
target_link_libraries(powercut PRIVATE ledger_rig tm_store_lmdb ${CMAKE_DL_LIBS})
add_test(NAME powercut COMMAND powercut 240 WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})

add_executable(bench_ledger ledger/bench_ledger.c)        # figures for docs/benchmarks.md, not a test
target_link_libraries(bench_ledger PRIVATE ledger_rig tm_store_lmdb)
