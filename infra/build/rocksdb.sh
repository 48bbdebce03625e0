#!/usr/bin/env bash
# Compiles RocksDB once for all profiles and checkouts, and prints the variables that make cargo
# link it:
#
#     eval "$(infra/build/rocksdb.sh)"
#
# Why: librocksdb-sys compiles it anew for every profile and target folder, ten minutes and more
# each time, and without optimisation for the dev profile. What it compiles depends on the crate's
# version, the C++ compiler and the flags below, so these name the folder in the cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=$(awk '/^name = "librocksdb-sys"$/ { getline; gsub(/version = |"/, ""); print }' Cargo.lock)
if [ -z "$version" ]; then
    echo "rocksdb.sh: Cargo.lock names no librocksdb-sys" >&2
    exit 1
fi

# The CPU flags reach the C++ compiler through rustflags; without them CRC32C runs in software.
key=$({
    rustc -vV | grep '^host:'
    "${CXX:-c++}" -dumpmachine
    "${CXX:-c++}" -dumpversion
    echo "${RUSTFLAGS:-$(grep '^rustflags' .cargo/config.toml)} ${CXXFLAGS:-}"
    grep '^rocksdb = ' Cargo.toml
} | sha256sum | cut -c1-12)

dir=${STANCHION_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stanchion}/rocksdb-$version-$key
mkdir -p "$dir"

# One builder at a time: a second caller waits here, then finds the library.
exec 9>"$dir/lock"
flock 9

if [ ! -f "$dir/librocksdb.a" ]; then
    echo "Compiling RocksDB once, 10 to 20 minutes on two cores. It stays in $dir" >&2
    # Debug information would make the library ten times as large.
    env -u ROCKSDB_LIB_DIR -u ROCKSDB_STATIC CARGO_PROFILE_RELEASE_DEBUG=false \
        cargo build --locked --release --package librocksdb-sys --target-dir "$dir/build" >&2
    mv "$dir"/build/release/build/librocksdb-sys-*/out/librocksdb.a "$dir/"
    rm -rf "$dir/build"
fi

printf 'export ROCKSDB_LIB_DIR=%q ROCKSDB_STATIC=1\n' "$dir"
