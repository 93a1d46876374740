#!/bin/sh
# Compiles the BPF object: bpf/build.sh [OUTPUT]. Reproducible with the same major version of clang and llvm-strip.
set -eu
cd "$(dirname "$0")"
output=${1:-runtime.bpf.x86_64.o}
clang -O2 -g -target bpf -Wall -Werror -D__TARGET_ARCH_x86 -fdebug-compilation-dir=. -c runtime.bpf.c -o "$output"
llvm-strip -g "$output"
if [ $# -eq 0 ]; then
    sha256sum "$output" >"$output.sha256"
    clang --version | sed -n '1s/.*version \([0-9]*\).*/\1/p' >clang-version
fi
