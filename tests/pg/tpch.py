"""TPC-H: all 22 queries on Sluice (row path and column path) and on PostgreSQL or DuckDB; the
answers must be the same.

    tpch.py --scale 0.01            both paths against PostgreSQL, to the letter
    tpch.py --scale 1 --release     the column path against DuckDB
    tpch.py --scale 10 --release --memory 4096      the same, with so many megabytes for queries
"""

import argparse
import decimal
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import duckdb

from servers import ROOT, postgres, sluice

TABLES = ["region", "nation", "part", "supplier", "partsupp", "customer", "orders", "lineitem"]
QUERIES = ROOT / "tests" / "tpch"
PIECE_ROWS = 10_000_000


def generate(scale, folder):
    """Comma-separated files of tpchgen, kept in the cache from one run to the next."""
    cache = pathlib.Path(os.environ.get("SLUICE_CACHE", folder)) / f"tpch-{scale}"
    if not (cache / "done").exists():
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)
        tool = pathlib.Path(sys.executable).parent / "tpchgen-cli"
        subprocess.run([tool, "csv", "-s", str(scale), "--output-dir", cache], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (cache / "done").touch()
    return cache


def queries():
    for path in sorted(QUERIES.glob("q*.sql")):
        yield path.stem, path.read_text()


def pieces(path):
    """What COPY reads a file from, in transactions of at most PIECE_ROWS rows; and whether its
    first line is a header."""
    lines = int(subprocess.run(["wc", "-l", path], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.split()[0])
    if lines <= PIECE_ROWS:
        return [(f"'{path}'", "true")]
    return [(f"program 'tail -n +{first} {path} | head -n {PIECE_ROWS}'", "false")
            for first in range(2, lines + 1, PIECE_ROWS)]


def load(server, data):
    started = time.monotonic()
    server.psql((QUERIES / "schema.sql").read_text(), "-v", "ON_ERROR_STOP=1")
    for table in TABLES:
        for source, header in pieces(data / f"{table}.csv"):
            server.psql(f"\\copy {table} from {source} with (format csv, header {header})\n",
                        "-v", "ON_ERROR_STOP=1", timeout=3600)
    print(f"{server.name} loaded in {time.monotonic() - started:.1f} s", flush=True)


def duck(data):
    """DuckDB with the same rows, and a way to ask it."""
    db = duckdb.connect()
    db.execute("set threads = 2")
    schema = (QUERIES / "schema.sql").read_text()
    for statement in schema.split(";"):
        if statement.strip():
            db.execute(statement)
    for table in TABLES:
        db.execute(f"copy {table} from '{data / table}.csv' (format csv, header true)")
    return db


def plain(value):
    """One form for values that two systems print differently."""
    if value is None:
        return ""
    text = str(value).rstrip()
    try:
        number = decimal.Decimal(text)
    except decimal.InvalidOperation:
        return text
    return f"{number:.4f}" if number.is_finite() else text


def alike(ours, theirs):
    """Rows alike but for the digits of quotients."""
    if len(ours) != len(theirs):
        return False
    for a, b in zip(ours, theirs):
        for x, y in zip(a, b):
            x, y = plain(x), plain(y)
            if x == y:
                continue
            try:
                difference = abs(decimal.Decimal(x) - decimal.Decimal(y))
            except decimal.InvalidOperation:
                return False
            if difference > max(abs(decimal.Decimal(y)), 1) * decimal.Decimal("1e-9"):
                return False
    return True


def check(name, path, ours, setting, sql, expected, exact):
    started = time.monotonic()
    try:
        got = ours.rows(setting + sql, timeout=600)
    except RuntimeError as e:
        print(f"FAILED {path:9} {name}: {str(e)[-300:]}", flush=True)
        return 1
    took = time.monotonic() - started
    rows = [line.split("|") for line in got]
    same = got == expected if exact else alike(rows, expected)
    print(f"{'ok' if same else 'WRONG':6} {path:9} {name} {len(rows)} rows, {took:.2f} s", flush=True)
    if not same:
        for a, b in list(zip(rows, expected))[:2]:
            print(f"   Sluice   {a}\n   expected {b}")
    return 0 if same else 1


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--scale", default="0.01")
    arguments.add_argument("--release", action="store_true")
    arguments.add_argument("--memory", help="megabytes of all analytical queries")
    options = arguments.parse_args()
    small = float(options.scale) < 0.1
    row, column = "set sluice.read_engines = 'row';\n", "set sluice.read_engines = 'columnar';\n"
    wrong = 0
    folder = tempfile.mkdtemp(prefix="sluice-tpch-")
    try:
        data = generate(options.scale, folder)
        flags = ["--analytics-memory", options.memory] if options.memory else []
        with sluice(*flags, release=options.release) as ours:
            load(ours, data)
            expected = {}
            if small:
                with postgres() as pg:
                    load(pg, data)
                    expected = {name: pg.rows(sql) for name, sql in queries()}
                for name, sql in queries():
                    wrong += check(name, "row", ours, row, sql, expected[name], True)
            else:
                db = duck(data)
                expected = {name: db.execute(sql).fetchall() for name, sql in queries()}
            for table in TABLES:
                ours.psql(f"alter table {table} set (columnar = on);", timeout=3600)
            for name, sql in queries():
                wrong += check(name, "columnar", ours, column, sql, expected[name], small)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
