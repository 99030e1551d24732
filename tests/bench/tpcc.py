"""TPC-C on PostgreSQL, on Sluice's embedded store, and on one Cassandra node (CASSANDRA_LIB).

    tpcc.py [--warehouses 1,4] [--seconds N] [--clients N] [--debug] [SYSTEM…]

Systems: postgresql, embedded, cluster. All five transactions in the specification's mix, without
think times; what they do to the data is checked by the specification's conditions before and after
(tests/bench/tpcc). BENCH_TPCC_ITEMS and BENCH_TPCC_CUSTOMERS scale the cluster's database down, and
the output says so.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "pg"), str(ROOT / "tests" / "cluster")]

from servers import postgres, sluice  # noqa: E402

ITEMS = int(os.environ.get("BENCH_TPCC_ITEMS", "100000"))
CUSTOMERS = int(os.environ.get("BENCH_TPCC_CUSTOMERS", "3000"))
FULL = (100_000, 3_000)
SYSTEMS = ["postgresql", "embedded", "cluster"]
LOAD_TIMEOUT_S = 3600


def program():
    """The clients; built if they are not yet, beside Sluice."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "tpcc"
    subprocess.run(["cargo", "build", "--quiet", "--release"], check=True,
                   cwd=ROOT / "tests" / "bench" / "tpcc",
                   env=dict(os.environ, CARGO_TARGET_DIR=str(target)))
    return target / "release" / "tpcc"


@contextlib.contextmanager
def on_cluster(release):
    from gateways import gateways
    from nodes import cassandra

    with cassandra(1) as cluster, gateways(cluster, keyspace="tpcc", release=release) as ours:
        yield ours[0]


def bench(system, warehouses, options):
    """One system: load, check, run, check."""
    release = not options.debug
    servers = {"postgresql": lambda: postgres([("shared_buffers", "512MB")]),
               "embedded": lambda: sluice(release=release), "cluster": lambda: on_cluster(release)}
    items, customers = (ITEMS, CUSTOMERS) if system == "cluster" else options.size or FULL
    size = ["--items", str(items), "--customers", str(customers), "--warehouses", str(warehouses)]
    size += [] if system == "postgresql" else ["--sluice"]
    with servers[system]() as server:
        def step(what, *more):
            done = subprocess.run([program(), what, "--dsn", server.dsn(), *size, *more],
                                  stdout=subprocess.PIPE, text=True, timeout=LOAD_TIMEOUT_S)
            if done.returncode:
                raise RuntimeError(f"{what} on {system} failed")
            return json.loads(done.stdout)

        loaded = step("load")
        if system == "postgresql":
            server.psql("vacuum analyze; checkpoint;", timeout=LOAD_TIMEOUT_S)
        checks = [step("check", "--seconds", "0")]
        ran = step("run", "--seconds", str(options.seconds), "--clients", str(options.clients),
                   "--isolation", options.isolation)
        checks.append(step("check", "--seconds", str(options.seconds)))
    report(system, warehouses, (items, customers), loaded, ran, checks)
    return not any(check["broken"] for check in checks)


def report(system, warehouses, size, loaded, ran, checks):
    scaled = "" if size == FULL else f", scaled down to {size[0]} items and {size[1]} customers"
    broken = sorted({name for check in checks for name in check["broken"]}, key=int)
    order = ran["new_order"]
    print(f"TPC-C, {warehouses} warehouse(s){scaled}, {system:10}: {ran['tpmC']:7.0f} tpmC, "
          f"New-Order p50 {order['p50']:.1f} ms, p99 {order['p99']:.1f} ms, "
          f"checks {'broken: ' + ', '.join(broken) if broken else 'clean'}", flush=True)
    others = ", ".join(f"{name} {ran[name]['p50']:.1f}/{ran[name]['p99']:.1f} ms"
                       for name in ("payment", "order_status", "delivery", "stock_level"))
    print(f"   loaded {loaded['rows']} rows in {loaded['seconds']:.0f} s "
          f"({loaded['rows'] / max(loaded['seconds'], 0.1):.0f} a second); checks took "
          f"{checks[-1]['seconds']:.0f} s; {others}; rolled back {ran['rolled_back']}; "
          f"retries {ran['retries'] or 'none'}", flush=True)


def main(given=None):
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--warehouses", default="1,4")
    arguments.add_argument("--seconds", type=int, default=30)
    arguments.add_argument("--clients", type=int, default=8)
    arguments.add_argument("--isolation", default="read committed")
    arguments.add_argument("--debug", action="store_true", help="a debug build of Sluice")
    arguments.add_argument("--size", type=lambda t: tuple(map(int, t.split(","))),
                           help="items and customers of PostgreSQL and the embedded store too")
    arguments.add_argument("systems", nargs="*", choices=[*SYSTEMS, []])
    options = arguments.parse_args(given)
    systems = options.systems or SYSTEMS[:3 if os.environ.get("CASSANDRA_LIB") else 2]
    clean = True
    for warehouses in map(int, options.warehouses.split(",")):
        for system in systems:
            clean &= bench(system, warehouses, options)
    return clean


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
