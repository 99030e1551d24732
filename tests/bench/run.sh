#!/bin/bash
# All benchmarks, each beside its peer in the same run; prints ratios with their spread.
#
#     tests/bench/run.sh [pgbench] [tpch] [delta] [copy] [isolation] [sstable] [tpcc] [spark]  (default: all)
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/setup.sh
setup_postgres
setup_python tests
setup_cassandra
setup_spark
cargo build --release --quiet
exec "$PYTHON" tests/bench/run.py "$@"
