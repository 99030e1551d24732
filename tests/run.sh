#!/bin/bash
# All tests. `tests/run.sh` is what every landing must pass; `tests/run.sh --long` adds what takes
# hours on a small machine (many seeds, scale factor 1, benchmarks).
#
# On a machine with only a Rust compiler it installs what it needs first (tests/setup.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/setup.sh

long=
[ "${1:-}" = "--long" ] && long=1

budget=()
part() {
    local name=$1
    shift
    echo "== $name"
    local start=$SECONDS
    "$@"
    budget+=("$(printf '%6d s  %s' $((SECONDS - start)) "$name")")
}

setup() {
    setup_postgres
    setup_python tests
}

lint() {
    cargo fmt --check
    cargo clippy --all-targets --quiet -- -D warnings
}

build() {
    cargo test --no-run --quiet
    cargo build --quiet
}

documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
}

part "setup" setup
part "build" build
part "lint" lint
part "fast tests" cargo test --quiet
part "documentation" documentation
part "beside PostgreSQL" "$PYTHON" tests/pg/compare.py
part "flights" "$PYTHON" tests/pg/flights.py
part "TPC-H, scale factor 0.01" "$PYTHON" tests/pg/tpch.py --scale 0.01
if [ -n "$long" ]; then
    part "TPC-H, scale factor 1" "$PYTHON" tests/pg/tpch.py --scale 1 --release
    part "benchmarks" tests/bench/run.sh
fi

echo "== time by part"
printf '%s\n' "${budget[@]}"
