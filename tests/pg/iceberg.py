"""Views as Iceberg tables: pyiceberg and DuckDB read what SELECT gives at the view's snapshot.

After inserts, updates, deletes and refreshes, columns added, dropped and renamed, on the embedded
store; and that publishing goes on after a restart, and goes away with the view.

With --spark also Spark, of $SPARK_LIB (setup_spark of tests/setup.sh). It knows no time of day, and
reads no table with such a column.
"""

import argparse
import contextlib
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
from servers import ROOT, sluice

sys.path.insert(0, str(ROOT / "tests" / "spark"))

from starter import started  # noqa: E402

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


def compare(ours, spark, what):
    """The table by all of them, now that nobody writes."""
    columns = columns_of(ours)
    ours.execute("refresh columnar view t")
    path = published(ours, "t")
    rows = [tuple(text(v) for v in row) for row in
            ours.execute(f"select {', '.join(columns)} from t order by id").fetchall()]
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
    fields = ["lower(hex(y))" if c == "y" else f"cast({c} as varchar(100))" for c in columns]
    fields = ", ".join(f"coalesce({field}, '') as {c}" for field, c in zip(fields, columns))
    mine = texts(ours, columns)
    same.append(alike(f"{what}: DuckDB", mine, duckdb_rows(
        f"select {fields} from iceberg_scan('{folder}') t order by t.id")))
    if spark:
        table = folder.rsplit("/", 1)[1]
        found, _ = spark.ask(f"select {fields} from views.views.`{table}` t order by t.id")
        # It shows no zone.
        mine = [tuple(value.removesuffix("+00") for value in row) for row in mine]
        same.append(alike(f"{what}: Spark", mine, [tuple(row.values()) for row in found]))
    return same


def texts(ours, columns):
    """The table's rows as text."""
    shown = ["encode(y, 'hex')" if c == "y" else f"{c}::text" for c in columns]
    rows = ours.execute(f"select {', '.join(shown)} from t order by t.id").fetchall()
    return [tuple(value or "" for value in row) for row in rows]


def alike(what, mine, theirs):
    if not isinstance(theirs, list):
        return check(f"{what} reads it", False, theirs)
    # Booleans print in other ways.
    plain = lambda v: {"true": "t", "false": "f"}.get(v, v)
    differ = [(a, b) for a, b in zip(theirs, mine)
              if [plain(v) for v in a] != [plain(v) for v in b]]
    ok = len(theirs) == len(mine) and not differ
    return check(f"{what} has the same rows", ok, differ[:2], (len(theirs), len(mine)))


def changes(ours, spark):
    ours.execute("""create table t (id int primary key, n numeric(12,2), name text, made timestamptz,
        day date, u uuid, x float8, ok bool, big bigint, small smallint, j jsonb, y bytea, tm time)
        with (columnar = on)""")
    if spark:
        ours.execute("alter table t drop column tm")
    fields = """(i * 7 % 1000) / 100.0, case when i % 13 = 0 then null else 'name ' || i end,
        timestamptz '2024-01-01 00:00Z' + i * interval '1 minute', date '2024-01-01' + i % 500,
        md5(i::text)::uuid, i + 0.5, i % 2 = 0, i::bigint * 1000000000, (i % 100)::smallint,
        jsonb_build_object('i', i), decode(md5(i::text), 'hex')"""
    if not spark:
        fields += ", time '00:00' + i * interval '1 second'"
    insert = "insert into t select i, {} from generate_series({}, {}) i"
    ours.execute(insert.format(fields, 1, 20000))
    same = compare(ours, spark, "inserted")
    ours.execute(insert.format(fields, 20001, 20100))
    ours.execute("update t set n = n + 1, name = 'changed' where id between 100 and 120")
    ours.execute("delete from t where id between 500 and 777")
    same += compare(ours, spark, "updated and deleted")
    path = published(ours, "t")
    deletes = StaticTable.from_metadata(path).metadata.snapshots[0].summary
    same.append(check("as position deletes", int(deletes["total-position-deletes"]) > 0, deletes))
    for round in range(4):
        ours.execute("update t set big = big + 1 where id %% 997 = %s", (round,))
        ours.execute("delete from t where id = %s", (2000 + round,))
        same += compare(ours, spark, f"refreshed again {round + 1}")
    before = StaticTable.from_metadata(published(ours, "t")).schema()
    ours.execute("alter table t add column extra int default 5")
    ours.execute("update t set extra = id where id < 50")
    same += compare(ours, spark, "a column added")
    ours.execute("alter table t rename column name to label")
    ours.execute("alter table t drop column j")
    same += compare(ours, spark, "one renamed, one dropped")
    ours.execute("alter table t add column j text")
    ours.execute("update t set j = 'new' where id = 1")
    same += compare(ours, spark, "one with an old name added")
    after = StaticTable.from_metadata(published(ours, "t")).schema()
    ids = before.find_field("name").field_id == after.find_field("label").field_id \
        and before.find_field("j").field_id != after.find_field("j").field_id
    same.append(check("columns keep their ids", ids, before, after))
    ours.execute("truncate t")
    same += compare(ours, spark, "emptied")
    return same


def columns_of(ours):
    """Columns whose texts are alike everywhere."""
    return [row[0] for row in ours.execute(
        "select column_name from information_schema.columns where table_name = 't' "
        "order by ordinal_position").fetchall()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spark", action="store_true", help="Spark reads them too")
    with tempfile.TemporaryDirectory(prefix="sluice-iceberg-") as folder:
        wanted = parser.parse_args().spark
        with started(f"file://{folder}/data/columnar") if wanted else contextlib.nullcontext() as spark:
            same = lives(folder, spark)
    print(f"{sum(same)} of {len(same)} alike")
    sys.exit(0 if all(same) else 1)


def lives(folder, spark):
    """A table's view through two lives of the server."""
    def connected(server):
        return psycopg.connect(server.dsn(), autocommit=True)
    with sluice(folder=folder) as server, connected(server) as ours:
        same = changes(ours, spark)
        ours.execute("insert into t (id, n) select i, i from generate_series(1, 50) i")
        ours.execute("refresh columnar view t")
        location = pathlib.Path(published(ours, "t").removeprefix("file://")).parent
    with sluice(folder=folder) as server, connected(server) as ours:
        same.append(check("published after a restart", "not" not in published(ours, "t")))
        same += compare(ours, spark, "after a restart")
        kept = len(glob.glob(f"{location}/v*.metadata.json"))
        same.append(check("old metadata goes", kept <= 3, kept))
        ours.execute("alter table t set (columnar = off)")
        deadline = time.monotonic() + 10
        while location.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        same.append(check("all of it goes with the view", not location.exists()))
    return same


if __name__ == "__main__":
    main()
