tm_test(NAME test_base SOURCES unit/test_base.c LINK tm_base)
tm_test(NAME test_hash SOURCES unit/test_hash.c LINK tm_crypto)
tm_test(NAME test_key SOURCES unit/test_key.c LINK tm_crypto)

# The only program that links msgpack-c: its unpacker is the codec's oracle.
find_library(MSGPACK_LIBRARY NAMES msgpackc msgpack-c REQUIRED)
tm_test(NAME test_codec SOURCES unit/test_codec.c LINK tm_crypto ${MSGPACK_LIBRARY})
tm_test(NAME test_cert SOURCES unit/test_cert.c LINK tm_crypto)
tm_test(NAME test_bootstrap SOURCES unit/test_bootstrap.c LINK tm_crypto)
tm_test(NAME test_keyfile SOURCES unit/test_keyfile.c LINK tm_crypto_posix)

tm_fuzz(NAME fuzz_keyfile SOURCES fuzz/fuzz_keyfile.c LINK tm_crypto_posix)
tm_fuzz(NAME fuzz_codec SOURCES fuzz/fuzz_codec.c LINK tm_crypto)
tm_fuzz(NAME fuzz_cert SOURCES fuzz/fuzz_cert.c LINK tm_crypto)
tm_fuzz(NAME fuzz_bootstrap SOURCES fuzz/fuzz_bootstrap.c LINK tm_crypto)
