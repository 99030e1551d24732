"""Views as Iceberg tables: pyiceberg and DuckDB read what SELECT gives at the view's snapshot.

After inserts, updates, deletes and refreshes, columns added, dropped and renamed, on the embedded
store; and that publishing goes on after a restart, and goes away with the view.
"""

import datetime
import glob
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import psycopg
from pyiceberg.table import StaticTable

from copy_binary import check
from servers import sluice

CACHE = os.environ.get("SLUICE_CACHE", os.path.expanduser("~/.cache/sluice"))
# DuckDB's extension comes by another version of DuckDB than the other tests have.
DUCKDB = os.environ.get("DUCKDB_ICEBERG", f"{CACHE}/duckdb-iceberg")
DUCKDB_SCRIPT = """
import glob, json, sys
sys.path.insert(0, sys.argv[1])
import duckdb
c = duckdb.connect(config={"allow_unsigned_extensions": True})
for name in ("avro", "iceberg"):
    [path] = glob.glob(f"{sys.argv[1]}/duckdb_extension_{name}/extensions/*/{name}.duckdb_extension")
    c.execute(f"load '{path}'")
c.execute("set timezone = 'UTC'")
print(json.dumps(c.execute(sys.argv[2]).fetchall(), default=str))
"""


def duckdb_rows(query):
    done = subprocess.run([sys.executable, "-c", DUCKDB_SCRIPT, DUCKDB, query],
                          capture_output=True, text=True)
    if done.returncode != 0:
        return done.stderr[-600:]
    return [tuple(row) for row in json.loads(done.stdout)]


def published(ours, table):
    """The metadata of the table's view, once that is of its newest generation."""
    deadline = time.monotonic() + 20
    while True:
        generation, path = ours.execute(
            "select generation, iceberg from pg_stat_columnar_views where relname = %s",
            (table,)).fetchone()
        if path and path.endswith(f"/v{generation}.metadata.json"):
            return path
        if time.monotonic() > deadline:
            return f"not published: {generation} {path}"
        time.sleep(0.2)


def text(value):
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, datetime.datetime) and value.tzinfo:
        value = value.astimezone(datetime.timezone.utc)
    return "" if value is None else value.hex() if isinstance(value, bytes) else str(value)


def compare(ours, what, table, columns):
    """The table by all three, now that nobody writes."""
    ours.execute(f"refresh columnar view {table}")
    path = published(ours, table)
    rows = [tuple(text(v) for v in row) for row in
            ours.execute(f"select {', '.join(columns)} from {table} order by id").fetchall()]
    read = StaticTable.from_metadata(path).scan().to_arrow()
    theirs = sorted(read.to_pylist(), key=lambda row: row["id"])
    theirs = [tuple(text(row[c]) for c in columns) for row in theirs]
    same = [check(f"{what}: pyiceberg has the columns", read.column_names == columns,
                  read.column_names),
            check(f"{what}: pyiceberg has the {len(rows)} rows", theirs == rows, path,
                  *[pair for pair in zip(theirs, rows) if pair[0] != pair[1]][:2],
                  (len(theirs), len(rows)))]
    # By the folder and its version hint.
    folder = path.removeprefix("file://").split("/metadata/")[0]
    shown = lambda c, bytes: bytes if c == "y" else f"{c}::text"
    fields = ", ".join(f"coalesce({shown(c, 'lower(hex(y))')}, '')" for c in columns)
    theirs = duckdb_rows(f"select {fields} from iceberg_scan('{folder}') order by id")
    mine = [tuple(v or "" for v in row) for row in
            ours.execute("select " + ", ".join(shown(c, "encode(y, 'hex')") for c in columns) +
                         f" from {table} order by {table}.id").fetchall()]
    if isinstance(theirs, list):
        # Booleans, floats and padding print in other ways.
        plain = lambda v: {"true": "t", "false": "f"}.get(v, v)
        differ = [(a, b) for a, b in zip(theirs, mine)
                  if [plain(v) for v in a] != [plain(v) for v in b]]
        ok = len(theirs) == len(mine) and not differ
        same.append(check(f"{what}: DuckDB has the same rows", ok, differ[:2],
                          (len(theirs), len(mine))))
    else:
        same.append(check(f"{what}: DuckDB reads it", False, theirs))
    return same


def changes(ours):
    ours.execute("""create table t (id int primary key, n numeric(12,2), name text, made timestamptz,
        day date, u uuid, x float8, ok bool, big bigint, small smallint, j jsonb, y bytea, tm time)
        with (columnar = on)""")
    fields = """(i * 7 % 1000) / 100.0, case when i % 13 = 0 then null else 'name ' || i end,
        timestamptz '2024-01-01 00:00Z' + i * interval '1 minute', date '2024-01-01' + i % 500,
        md5(i::text)::uuid, i + 0.5, i % 2 = 0, i::bigint * 1000000000, (i % 100)::smallint,
        jsonb_build_object('i', i), decode(md5(i::text), 'hex'),
        time '00:00' + i * interval '1 second'"""
    insert = "insert into t select i, {} from generate_series({}, {}) i"
    ours.execute(insert.format(fields, 1, 20000))
    same = compare(ours, "inserted", "t", columns_of(ours))
    ours.execute(insert.format(fields, 20001, 20100))
    ours.execute("update t set n = n + 1, name = 'changed' where id between 100 and 120")
    ours.execute("delete from t where id between 500 and 777")
    same += compare(ours, "updated and deleted", "t", columns_of(ours))
    path = published(ours, "t")
    deletes = StaticTable.from_metadata(path).metadata.snapshots[0].summary
    same.append(check("as position deletes", int(deletes["total-position-deletes"]) > 0, deletes))
    for round in range(4):
        ours.execute("update t set big = big + 1 where id %% 997 = %s", (round,))
        ours.execute("delete from t where id = %s", (2000 + round,))
        same += compare(ours, f"refreshed again {round + 1}", "t", columns_of(ours))
    before = StaticTable.from_metadata(published(ours, "t")).schema()
    ours.execute("alter table t add column extra int default 5")
    ours.execute("update t set extra = id where id < 50")
    same += compare(ours, "a column added", "t", columns_of(ours))
    ours.execute("alter table t rename column name to label")
    ours.execute("alter table t drop column j")
    same += compare(ours, "one renamed, one dropped", "t", columns_of(ours))
    ours.execute("alter table t add column j text")
    ours.execute("update t set j = 'new' where id = 1")
    same += compare(ours, "one with an old name added", "t", columns_of(ours))
    after = StaticTable.from_metadata(published(ours, "t")).schema()
    ids = before.find_field("name").field_id == after.find_field("label").field_id \
        and before.find_field("j").field_id != after.find_field("j").field_id
    same.append(check("columns keep their ids", ids, before, after))
    ours.execute("truncate t")
    same += compare(ours, "emptied", "t", columns_of(ours))
    return same


def columns_of(ours):
    """Columns whose texts are alike everywhere."""
    return [row[0] for row in ours.execute(
        "select column_name from information_schema.columns where table_name = 't' "
        "order by ordinal_position").fetchall()]


def main():
    same = []
    with tempfile.TemporaryDirectory(prefix="sluice-iceberg-") as folder:
        def connected(server):
            return psycopg.connect(server.dsn(), autocommit=True)
        with sluice(folder=folder) as server, connected(server) as ours:
            same += changes(ours)
            ours.execute("insert into t (id, n) select i, i from generate_series(1, 50) i")
            ours.execute("refresh columnar view t")
            location = pathlib.Path(published(ours, "t").removeprefix("file://")).parent
        with sluice(folder=folder) as server, connected(server) as ours:
            same.append(check("published after a restart", "not" not in published(ours, "t")))
            same += compare(ours, "after a restart", "t", columns_of(ours))
            kept = len(glob.glob(f"{location}/v*.metadata.json"))
            same.append(check("old metadata goes", kept <= 3, kept))
            ours.execute("alter table t set (columnar = off)")
            deadline = time.monotonic() + 10
            while location.exists() and time.monotonic() < deadline:
                time.sleep(0.2)
            same.append(check("all of it goes with the view", not location.exists()))
    print(f"{sum(same)} of {len(same)} alike")
    sys.exit(0 if all(same) else 1)


if __name__ == "__main__":
    main()
