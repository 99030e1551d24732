"""Latencies of statements through a release build's gateway, beside a program that does the bare CQL
work through the same driver on the same cluster (`tests/bench/raw`), by turns: medians of one
client, their range over the rounds, and the rate of point reads of many clients. With Accord the
bare work is Accord transactions on Accord's tables."""

import glob
import os
import pathlib
import re
import statistics
import subprocess
import tempfile

import psycopg

ROUNDS = 3
SECONDS = 3
CLIENTS = 32
RAW = pathlib.Path(__file__).resolve().parents[1] / "bench" / "raw"
# Statement, what of the bare work it is compared with, and the ratio that is aimed at with LWT.
STATEMENTS = {
    "point read": ("select v from plain where id = :one", "read", 1.3),
    "INSERT of one row": ("insert into fresh values (:a, 0)", "insert", 1.3),
    "UPDATE by key": ("update plain set v = v + 1 where id = :one", "read and update", 1.25),
    "INSERT of five rows in one partition":
        ("insert into wide values (:a, 1, 0), (:a, 2, 0), (:a, 3, 0), (:a, 4, 0), (:a, 5, 0)",
         "insert of five rows", 1.5),
    "INSERT of five rows in five partitions":
        ("insert into fresh values (:a, 0), (:b, 0), (:c, 0), (:d, 0), (:e, 0)",
         "insert into five partitions", 1.3),
    "INSERT of one row with UNIQUE": ("insert into single values (:a, :b)", "insert", None),
    "INSERT of one row, columnar = on": ("insert into columns values (:a, 0)", "insert", 1.8),
}
# With Accord, of each that writes.
ACCORD_WANTED = 1.3
RATE = "reads a second"
RATE_WANTED = 0.7
TABLES = """
create table plain (id int primary key, v int);
create table fresh (id bigint primary key, v int);
create table wide (p bigint, c int, v int, primary key (p, c)) with (partition_by = 'p');
create table single (id bigint primary key, v bigint unique);
create table columns (id bigint primary key, v int) with (columnar = on);
insert into plain select x, x from generate_series(1, 50) x;
"""
# So many that none comes twice.
NUMBERS = "\\set one random(1, 50)\n" + "".join(
    f"\\set {name} random(1, {2**62})\n" for name in "abcde")


def run(cluster, server, commit):
    """Prints them. What is slower than aimed at is said, and no failure: machines differ."""
    program = build()
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(TABLES)
    # What bare work does first too: Cassandra compiles what it is asked for often.
    for sql, _, _ in STATEMENTS.values():
        pgbench(server, sql, CLIENTS)
    ours, bare = {}, {}
    for _ in range(ROUNDS):
        for name, figure in raw(program, cluster, commit).items():
            bare.setdefault(name, []).append(figure)
        for name, (sql, _, _) in STATEMENTS.items():
            ours.setdefault(name, []).append(median(server, sql))
        ours.setdefault(RATE, []).append(rate(server, STATEMENTS["point read"][0]))
    for name, (_, work, wanted) in STATEMENTS.items():
        if commit == "accord" and work != "read":
            wanted = ACCORD_WANTED
        show(name, ours[name], bare[work], wanted, "ms")
    show(f"{RATE}, {CLIENTS} clients", ours[RATE], bare[RATE], RATE_WANTED, "/s")
    return []


def show(name, ours, bare, wanted, unit):
    """A line: both medians with their ranges, the ratio."""
    ratio = statistics.median(ours) / statistics.median(bare)
    aim = f" (aim {wanted})" if wanted else ""
    print(f"   {name:40} {spread(ours)} {unit}, bare {spread(bare)}: {ratio:.2f}{aim}")


def spread(figures):
    """Median and range."""
    digits = 0 if min(figures) > 100 else 2
    middle, least, most = statistics.median(figures), min(figures), max(figures)
    return f"{middle:.{digits}f} ({least:.{digits}f}-{most:.{digits}f})"


def build():
    """The bare program."""
    target = os.environ.get("CARGO_TARGET_DIR", str(RAW / "target")) + "/raw"
    subprocess.run(["cargo", "build", "--release", "--quiet", "--locked", "--target-dir", target],
                   cwd=RAW, check=True, timeout=1800)
    return f"{target}/release/raw"


def raw(program, cluster, commit):
    """Its figures."""
    point, replication = cluster.contact_points().split(",")[0], min(3, len(cluster.nodes))
    done = subprocess.run([program, point, str(replication), str(SECONDS), str(CLIENTS), commit],
                          text=True, stdout=subprocess.PIPE, check=True, timeout=300)
    return {name: float(figure) for name, figure in
            re.findall(r"^(.+): ([\d.]+)$", done.stdout, re.MULTILINE)}


def pgbench(server, sql, clients, *flags, folder=None):
    """What it printed."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(NUMBERS + sql + ";\n")
        script.flush()
        done = subprocess.run(
            [f"{os.environ['PG_BIN']}/pgbench", "-n", "-M", "prepared", "-c", str(clients),
             "-j", "2" if clients > 1 else "1", "-T", str(SECONDS), "-f", script.name, *flags],
            env=server.env(), text=True, capture_output=True, timeout=120, cwd=folder)
    if done.returncode:
        raise RuntimeError(f"{sql}: {done.stderr}")
    return done.stdout


def median(server, sql):
    """A statement's median latency in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="sluice-latency-") as folder:
        pgbench(server, sql, 1, "-l", folder=folder)
        lines = [line for name in glob.glob(f"{folder}/pgbench_log.*")
                 for line in pathlib.Path(name).read_text().splitlines()]
    return statistics.median(int(line.split()[2]) for line in lines) / 1000


def rate(server, sql):
    """Statements a second of many clients."""
    return float(re.search(r"tps = ([\d.]+)", pgbench(server, sql, CLIENTS)).group(1))
