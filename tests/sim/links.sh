#!/bin/bash
# links.sh SIM - does the simulator link the cores alone? Whatever touches a machine (sockets, threads, a database, files
# written, the clock, the operating system's randomness) must be absent, so a core that reaches for it does not pass.
set -eu
sim=$1
libs=$(ldd "$sim" | awk '{print $1}' | grep -vE '^(linux-vdso|linux-gate|/lib)' || true)
bad_libs=$(echo "$libs" | grep -vE '^(libsodium|libc|libm|libasan|libubsan|libgcc_s|libpthread|libdl|librt)\.so' || true)
# libsodium itself needs libpthread on old C libraries; that our own objects need none is what the symbols show.
bad_symbols=$(nm -u --no-demangle "$sim" | awk '{print $NF}' | sed 's/@.*//' |
  grep -xE 'zmq_.*|mdb_.*|pthread_.*|thrd_.*|mtx_.*|socket|bind|connect|listen|accept4?|send(to|msg)?|recv(from|msg)?|epoll_.*|poll|select|open(at)?(64)?|creat|unlink|rename|f(data)?sync|mmap|fork|exec.*|clock_gettime|gettimeofday|time|random|rand|srand|getrandom|getentropy|arc4random.*|randombytes.*|usleep|nanosleep|sleep' || true)
if [ -n "$bad_libs$bad_symbols" ]; then
  echo "the simulator reaches outside:" $bad_libs $bad_symbols
  exit 1
fi
echo "links: $(echo $libs); no forbidden symbol among $(nm -u "$sim" | wc -l)"
