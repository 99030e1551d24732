#!/bin/bash
# All tests. `tests/run.sh` is what every landing must pass; `tests/run.sh --long` adds what takes
# long on a small machine or is known not to be equal to PostgreSQL yet, in groups, which
# `tests/run.sh --long GROUP…` runs alone: files, seeds, node, accord, older, shared, nodes, questions,
# benches.
#
# On a machine with only a Rust compiler it installs what it needs first (tests/setup.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/setup.sh

# Nothing here is compiled twice, and a kept target folder does not grow.
export CARGO_INCREMENTAL=0

groups=
if [ "${1:-}" = "--long" ]; then
    shift
    groups=${*:-all}
fi

# A program that hangs ends the run, and says where.
limit=30m

budget=()
part() {
    local name=$1
    shift
    echo "== $name"
    local start=$SECONDS
    if declare -F "$1" >/dev/null; then
        "$@"
    else
        timeout --verbose --kill-after=30s "$limit" "$@"
    fi
    budget+=("$(printf '%6d s  %s' $((SECONDS - start)) "$name")")
}

setup() {
    setup_postgres
    setup_python tests
    setup_iceberg
    setup_cassandra
}

lint() {
    cargo fmt --check
    cargo clippy --all-targets --quiet -- -D warnings
    # Without the column path it builds in seconds: what row-path work is done with.
    cargo check --no-default-features --quiet
}

# By the times of its files, Cargo may take for this checkout's what another one built in FOLDER.
own_target() {
    local folder=$1 mark=$1/checkout
    mkdir -p "$folder"
    if [ "$(cat "$mark" 2>/dev/null)" != "$PWD" ]; then
        cargo clean --quiet --package sluice --target-dir "$folder"
        echo "$PWD" > "$mark"
    fi
}

build() {
    # Not `cargo build` too: tests have features of their own dependencies, and every crate would
    # be built twice. The program is built for the tests that run it.
    own_target "$CARGO_TARGET_DIR"
    cargo test --no-run --quiet
}

documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
}

default() {
    part "lint" lint
    part "documentation" documentation
    part "compose file" "$SLUICE_CACHE/venv/bin/check-jsonschema" \
        --builtin-schema vendor.compose-spec compose/compose.yaml
    part "fast tests" cargo test --quiet
    part "beside PostgreSQL" "$PYTHON" tests/pg/compare.py
    part "sessions beside each other" "$PYTHON" tests/pg/isolation.py
    part "COPY beside PostgreSQL" "$PYTHON" tests/pg/copy_binary.py
    part "Parquet beside DuckDB" "$PYTHON" tests/pg/parquet.py
    part "views as Iceberg tables" "$PYTHON" tests/pg/iceberg.py
    part "Django beside PostgreSQL" "$PYTHON" tests/pg/django_orm.py
    part "dumps beside PostgreSQL" "$PYTHON" tests/pg/dump.py
    part "bad input beside PostgreSQL" "$PYTHON" tests/pg/bad_input.py
    part "one Cassandra node" "$PYTHON" tests/cluster/run.py
}

files() {
    part "setup of the next Cassandra" setup_cassandra_next
    part "Cassandra's files, all formats" "$PYTHON" tests/cluster/sstables.py
}

seeds() {
    part "cluster store, many seeds" \
        env SLUICE_SIM_SEEDS=500 cargo test --quiet --lib kv::lwt::tests
    part "killed at random instants" \
        env SLUICE_TEST_CRASH_ROUNDS=40 cargo test --quiet --test it crash
}

node() {
    part "one Cassandra node, longer" "$PYTHON" tests/cluster/run.py --long bank isolation
    part "faults of one Cassandra node and its gateways" "$PYTHON" tests/cluster/run.py --long \
        quorum retired rolling loops sizes
    part "the demo on a cluster" "$PYTHON" tests/cluster/run.py demo
    part "setup of Spark" setup_spark
    part "views as Iceberg tables in Spark" "$PYTHON" tests/pg/iceberg.py --spark
    part "Spark on one Cassandra node" "$PYTHON" tests/cluster/run.py spark
}

accord() {
    part "setup of the next Cassandra" setup_cassandra_next
    part "setup of Spark" setup_spark
    part "one Cassandra node with Accord" "$PYTHON" tests/cluster/run.py --commit accord \
        conformance scripts schema sequences native bank requests isolation spark
    part "three nodes with Accord" "$PYTHON" tests/cluster/run.py --nodes 3 --commit accord bank
}

older() {
    part "setup of an older Cassandra" setup_cassandra_old
    part "one older Cassandra node" env CASSANDRA_LIB="$CASSANDRA_OLD_LIB" "$PYTHON" \
        tests/cluster/run.py conformance schema hopes bank
}

shared() {
    local target=$CARGO_TARGET_DIR/s3
    own_target "$target"
    part "build with S3 and shared scans" env CARGO_TARGET_DIR="$target" \
        cargo test --no-run --quiet --features s3,spread --test it --lib
    part "column path with S3 and shared scans" env CARGO_TARGET_DIR="$target" \
        cargo test --quiet --features s3,spread --lib columnar
    part "views in S3" env CARGO_TARGET_DIR="$target" "$PYTHON" tests/cluster/run.py objects
    part "scans of three gateways" env CARGO_TARGET_DIR="$target" "$PYTHON" \
        tests/cluster/run.py spread
}

nodes() {
    part "three Cassandra nodes" "$PYTHON" tests/cluster/run.py --nodes 3 --long bank quorum
    part "agents of three nodes" "$PYTHON" tests/cluster/run.py --nodes 3 agents
    part "a node that joins and leaves" "$PYTHON" tests/cluster/run.py --nodes 2 topology
    part "two data centres" "$PYTHON" tests/cluster/run.py --datacenters dc1,dc1,dc2 bank schema
}

questions() {
    part "still different from PostgreSQL" "$PYTHON" tests/pg/compare.py --open
    part "rows and columns, random questions" "$PYTHON" tests/pg/paths.py
    part "rows and columns beside writers" "$PYTHON" tests/pg/busy.py
    part "flights" "$PYTHON" tests/pg/flights.py
    part "TPC-H, scale factor 0.01" "$PYTHON" tests/pg/tpch.py --scale 0.01
    part "TPC-H, scale factor 1" "$PYTHON" tests/pg/tpch.py --scale 1 --release
}

benches() {
    part "benchmarks" tests/bench/run.sh
    part "TPC-H, scale factor 10, in 4 GiB" "$PYTHON" tests/pg/tpch.py --scale 10 --release \
        --memory 4096
    part "statements on one node beside bare CQL" "$PYTHON" tests/cluster/run.py latency
    part "statements on three nodes beside bare CQL" "$PYTHON" tests/cluster/run.py --nodes 3 latency
    part "setup of the next Cassandra" setup_cassandra_next
    part "statements by Accord beside bare CQL" "$PYTHON" tests/cluster/run.py --commit accord latency
    part "the demo on a cluster at its full rate" "$PYTHON" tests/cluster/run.py --long demo
}

part "setup" setup
part "build" build
[ "${groups:-all}" != all ] || default
if [ -n "$groups" ]; then
    limit=4h
    [ "$groups" != all ] || groups="files seeds node accord older shared nodes questions benches"
    for group in $groups; do
        "$group"
    done
fi

echo "== time by part"
printf '%s\n' "${budget[@]}"
