"""Latencies of statements through a release build's gateway, one client, beside what bare CQL takes
in the same run: what the library's own measures print of a read and of a lightweight transaction."""

import os
import re
import subprocess
import tempfile

import psycopg

SECONDS = 4
# Statement, and what of bare CQL it is compared with: reads, lightweight transactions.
STATEMENTS = {
    "point read": ("select v from plain where id = :one", 1, 0),
    "INSERT of one row": ("insert into fresh values (:a, 0)", 0, 1),
    "UPDATE by key": ("update plain set v = v + 1 where id = :one", 1, 1),
    "INSERT of five rows in one partition":
        ("insert into wide values (:a, 1, 0), (:a, 2, 0), (:a, 3, 0), (:a, 4, 0), (:a, 5, 0)", 0, 1),
    "INSERT of five rows in five partitions":
        ("insert into fresh values (:a, 0), (:b, 0), (:c, 0), (:d, 0), (:e, 0)", 0, 1),
    "INSERT of one row with UNIQUE": ("insert into single values (:a, :b)", 0, 1),
}
TABLES = """
create table plain (id int primary key, v int);
create table fresh (id int primary key, v int);
create table wide (p int, c int, v int, primary key (p, c)) with (partition_by = 'p');
create table single (id int primary key, v int unique);
insert into plain select x, x from generate_series(1, 50) x;
"""
NUMBERS = "\\set one random(1, 50)\n" + "".join(
    f"\\set {name} random(1, 2000000000)\n" for name in "abcde")


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(µs|ms)", text).groups()
    return float(number) / (1000 if unit == "µs" else 1)


def run(server, raw):
    """Prints them; `raw` are the lines of the library's measures."""
    line = next(line for line in raw.splitlines() if "raw: read" in line)
    read, _, both = map(milliseconds, re.findall(r"[\d.]+(?:µs|ms)", line)[:3])
    print(f"   bare CQL: read {read:.2f} ms, lightweight transaction {both - read:.2f} ms (medians)")
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(TABLES)
    for name, (sql, reads, lwts) in STATEMENTS.items():
        took = mean(server, sql)
        bare = reads * read + lwts * (both - read)
        print(f"   {name:40} {took:6.2f} ms, {took / bare:.2f} of {bare:.2f} ms")
    return []


def mean(server, sql):
    """A statement's mean latency in milliseconds, by pgbench."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(NUMBERS + sql + ";\n")
        script.flush()
        done = subprocess.run(
            [f"{os.environ['PG_BIN']}/pgbench", "-n", "-M", "prepared", "-c", "1", "-T",
             str(SECONDS), "-f", script.name],
            env=server.env(), text=True, capture_output=True, check=True, timeout=120)
    return float(re.search(r"latency average = ([\d.]+) ms", done.stdout).group(1))
