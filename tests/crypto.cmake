tm_test(NAME test_base SOURCES unit/test_base.c LINK tm_base)
tm_test(NAME test_hash SOURCES unit/test_hash.c LINK tm_crypto)
tm_test(NAME test_key SOURCES unit/test_key.c LINK tm_crypto)
