tm_test(NAME test_base SOURCES unit/test_base.c LINK tm_base)
