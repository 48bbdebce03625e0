#!/usr/bin/env bash
# cargo, with everything in place that compiling and linking RocksDB needs.
set -euo pipefail
build=$(dirname "${BASH_SOURCE[0]}")

"$build/install.sh" compiler
variables=$("$build/rocksdb.sh")
eval "$variables"
exec cargo "$@"
