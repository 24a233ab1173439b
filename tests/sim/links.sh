#!/bin/bash
# links.sh SIM - does the simulator link the cores alone? All that it needs from outside is in the list below; whatever else
# touches a machine (sockets, threads, a database, clocks, files, the operating system's randomness) is refused by not being in
# it, so a core that reaches for it does not pass. What each core may call for itself: tests/check/purity.allow.
#
#   links.sh --self-test    plants what must be found; needs a C compiler (CC, default cc)
set -u
allowed=" _ITM_deregisterTMCloneTable _ITM_registerTMCloneTable __cxa_atexit __cxa_finalize __gmon_start__ __libc_start_main
  __stack_chk_fail
  memchr memcmp memcpy memmove memset bcmp strchr strrchr strstr strcmp strncmp strlen strnlen strspn strcspn strpbrk
  snprintf vsnprintf malloc calloc realloc free aligned_alloc abort exit
  fprintf vfprintf printf puts putchar fputc fputs fwrite fflush stdout stderr
  fopen fgets fclose sscanf strtoull strtoul
  signal __sysv_signal clock
  sodium_init sodium_memzero crypto_generichash_init crypto_generichash_update crypto_generichash_final
  crypto_sign_ed25519_seed_keypair crypto_sign_ed25519_detached crypto_sign_ed25519_verify_detached
  crypto_scalarmult_curve25519 crypto_scalarmult_curve25519_base
  crypto_aead_xchacha20poly1305_ietf_encrypt crypto_aead_xchacha20poly1305_ietf_decrypt "
# fopen: seeds_regress.txt. signal: a failed ENSURE says its seed. clock: how long a run took, printed, never decided on.

outside() { # PROGRAM
    nm -u --no-demangle "$1" | awk '{ print $NF }' | while IFS= read -r symbol; do
        symbol=${symbol%%@*}
        symbol=${symbol#__isoc99_}
        symbol=${symbol#__isoc23_}
        [[ $symbol == __*_chk ]] && symbol=${symbol#__} && symbol=${symbol%_chk}
        case $symbol in __asan_*|__ubsan_*|__tsan_*|__sanitizer_*|__sancov_*|__gcov_*|__llvm_*) continue ;; esac
        [[ ${allowed//$'\n'/ } == *" $symbol "* ]] || printf '%s ' "$symbol"
    done
    # libsodium itself needs libpthread on old C libraries; that our own objects need none is what the symbols show.
    ldd "$1" | awk '{ print $1 }' | grep -vE '^(linux-vdso|linux-gate|/lib)' |
        grep -vE '^(libsodium|libc|libm|libasan|libubsan|libgcc_s|libpthread|libdl|librt)\.so' | tr '\n' ' '
}

self_test() {
    local cc=${CC:-cc} folder name found=0
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    cd "$folder" || exit 1
    echo 'int printf(const char *, ...); void *malloc(unsigned long); int main(void) { return malloc(1) == 0 && printf("x"); }' > good.c
    "$cc" -w -fno-builtin -o good good.c || exit 1
    [ -z "$(outside good)" ] || { echo "self-test: a good program is refused: $(outside good)"; exit 1; }
    for name in syscall times read write open openat stat fstat access getenv secure_getenv time clock_gettime gettimeofday \
        rand random getrandom getentropy socket connect send recv poll select epoll_wait fork execv kill getpid mmap lseek fsync unlink \
        rename opendir readdir nanosleep sleep usleep timer_create dlopen system popen fread fputwc setitimer pthread_create; do
        echo "int $name(); int main(void) { return $name(0, 0, 0, 0); }" > bad.c
        "$cc" -w -fno-builtin -o bad bad.c -lpthread -ldl -lrt || { echo "self-test: $name does not link"; exit 1; }
        [[ " $(outside bad)" == *" $name"* ]] || { echo "self-test: not found: $name"; exit 1; }
        found=$((found + 1))
    done
    echo "links: found all $found planted faults"
    exit 0
}

[ "${1:-}" = --self-test ] && self_test
[ -f "${1:-}" ] || { echo "links: no program ${1:-}"; exit 2; }
bad=$(outside "$1")
if [ -n "$bad" ]; then
    echo "the simulator reaches outside: $bad"
    exit 1
fi
echo "links: none but the allowed among $(nm -u "$1" | wc -l) symbols"
