#!/usr/bin/env bash
# Installs what this machine lacks, with the system's package manager, and says so.
#
#     infra/build/install.sh compiler    a C++ compiler and libclang, for RocksDB and its bindings
#     infra/build/install.sh clients     Python, Node.js and the AWS CLI 2, for the tests with other
#                                        AWS clients
set -euo pipefail

has() { command -v "$1" >/dev/null; }
# Whichever comes first on the path may well be a version 1.
has_aws_2() {
    local aws
    for aws in $(type -ap aws); do
        [[ "$("$aws" --version 2>/dev/null)" != aws-cli/2.* ]] || return 0
    done
    return 1
}
any_file() { compgen -G "$1" >/dev/null; }

# The library and the headers that come with it: bindgen needs both.
has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return
    local dir
    for dir in '/usr/lib/llvm-*/lib' '/usr/lib/*-linux-gnu' '/usr/lib*' '/usr/local/lib*'; do
        if any_file "$dir/libclang.so*" || any_file "$dir/libclang-[0-9]*.so*"; then
            any_file '/usr/lib*/llvm-*/lib/clang/*/include/stddef.h' && return
            any_file '/usr/lib*/clang/*/include/stddef.h' && return
        fi
    done
    return 1
}

packages=()
case "${1:-}" in
compiler)
    has "${CXX:-c++}" || packages+=(g++)
    has_libclang || packages+=(libclang-dev)
    ;;
clients)
    # Without ensurepip, `python3 -m venv` makes an environment that has no pip.
    { has python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; } || packages+=(python3-venv)
    has node || packages+=(nodejs)
    has npm || packages+=(npm)
    has_aws_2 || packages+=(awscli)
    ;;
*)
    echo "usage: $0 compiler|clients" >&2
    exit 2
    ;;
esac

[ ${#packages[@]} -gt 0 ] || exit 0

if ! has apt-get; then
    echo "This machine lacks (Debian's names): ${packages[*]}. Please install them." >&2
    exit 1
fi
sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo)
echo "Installing with apt-get: ${packages[*]}" >&2
"${sudo[@]}" apt-get update -qq >&2
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
