#!/usr/bin/env bash
# Holds our dependencies against deny.toml: bans, licences and sources. Not advisories: their
# database is not reachable from everywhere that this must run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=0.20.2
dir=${STANCHION_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stanchion}/cargo-deny-$version
if [ ! -x "$dir/bin/cargo-deny" ]; then
    echo "Compiling cargo-deny $version. It stays in $dir" >&2
    # Unoptimised: it takes a moment either way, and compiles in a third of the time.
    CARGO_PROFILE_DEV_DEBUG=false \
        cargo install --quiet --locked --debug --root "$dir" --version "$version" cargo-deny
fi
exec "$dir/bin/cargo-deny" --locked check bans licenses sources
