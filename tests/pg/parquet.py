"""Parquet files at the endpoint, against DuckDB.

- COPY TO: DuckDB reads the same values; COPY FROM takes them back, and DuckDB's own files;
- what cannot be copied is an error with PostgreSQL's code, and no file and no row is left of it.
"""

import os
import pathlib
import sys
import tempfile
import threading
import time

import duckdb
import psycopg

from copy_binary import COLUMNS, ROWS, check, connect
from servers import sluice

FINITE = ROWS.replace("{{1,2},{3,4}}", "{4}").replace("'infinity'", "'2024-01-01'").replace(
    "'-infinity'", "'2023-01-01'").replace("'4713-01-01 BC'", "'0001-01-01'").replace(
    "'0044-03-15 BC'", "'0044-03-15'")
NAMES = "id i2 i8 f4 f8 n nn t v c b d tm ts tz iv u y j jb ia ta na".split()


def refused(connection, statement):
    """The error's code and message."""
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        return error.sqlstate, error.diag.message_primary
    return None


def there_and_back(ours, folder):
    ours.execute(f"create table every ({COLUMNS})")
    ours.execute(f"create table again ({COLUMNS})")
    ours.execute(f"insert into every values {FINITE}")
    path = f"{folder}/every.parquet"
    done = ours.execute(f"copy every to '{path}' (format parquet)")
    same = [check("rows out", done.rowcount == 4, done.rowcount)]
    done = ours.execute(f"copy again from 'file://{path}' (format parquet)")
    same.append(check("rows in", done.rowcount == 4, done.rowcount))
    texts = [ours.execute(f"select {t}::text from {t} order by id").fetchall()
             for t in ("every", "again")]
    same.append(check("what comes back is what went out", texts[0] == texts[1], *texts))
    read = duckdb.execute(f"select * from '{path}' order by id").description
    same.append(check("DuckDB has the columns", [c[0] for c in read] == NAMES, read))
    # Values in DuckDB's text, where that is PostgreSQL's too.
    # char(n) has its blanks there.
    alike = "id i2 i8 n nn t v d tm ts iv u ia".split()
    fields = ", ".join(f"coalesce({c}::varchar, '')" for c in alike)
    theirs = duckdb.execute(f"select {fields} from '{path}' order by id").fetchall()
    theirs = [tuple(str(v).rstrip("0") if c == "tm" else v for c, v in zip(alike, row))
              for row in theirs]
    fields = ", ".join(
        f"coalesce({'ia::text' if c == 'ia' else c + '::text'}, '')" for c in alike)
    mine = [tuple(v.replace("{", "[").replace("}", "]").replace(",", ", ") if c == "ia"
                  else v.rstrip("0") if c == "tm" else v for c, v in zip(alike, row))
            for row in ours.execute(f"select {fields} from every order by id").fetchall()]
    same.append(check("DuckDB has the values", theirs == mine, theirs, mine))
    with ours.cursor().copy("copy every to stdout (format parquet)") as copy:
        client = b"".join(bytes(part) for part in copy)
    same.append(check("the client gets the same file", client == pathlib.Path(path).read_bytes()))
    return same


def others(ours, folder):
    """A file of DuckDB's, by assignment."""
    path = f"{folder}/duck.parquet"
    duckdb.execute(f"""copy (select (i % 200)::utinyint as
        small, i::ubigint as big, (i * 1.5)::decimal(12,2) as x, 'n' || i as name,
        make_timestamp(i * 1000000) as at, [i, null] as list, i % 2 = 0 as even, uuid() as id
        from range(20000) t(i)) to '{path}' (format parquet)""")
    ours.execute("""create table duck (extra int default 7, id uuid primary key, name varchar(9),
        big bigint, small int, x numeric(10,1), at timestamptz, list bigint[], even bool)""")
    done = ours.execute(f"copy duck from '{path}' (format parquet)")
    same = [check("DuckDB's rows in", done.rowcount == 20000, done.rowcount)]
    query = "select sum(big), sum(small), sum(x), max(name), count(distinct id) from"
    theirs = duckdb.execute(f"""select sum(big), sum(small), sum(x::decimal(10,1)), max(name),
        count(distinct id) from '{path}'""").fetchone()
    mine = ours.execute(f"{query} duck").fetchone()
    shown = [tuple(str(v) for v in row) for row in (theirs, mine)]
    same.append(check("the same values", shown[0] == shown[1], *shown))
    mine = ours.execute("select count(*), sum(extra), sum(list[1]) from duck").fetchone()
    same.append(check("defaults and lists", mine == (20000, 140000, 199990000), mine))
    return same


def errors(ours, folder):
    ours.execute("create table w (id bigint primary key, n int, check (id < 15000))")
    put = lambda query, name: ours.execute(f"copy ({query}) to '{folder}/{name}' (format parquet)")
    put("select i as id from generate_series(1, 20000) i", "ids.parquet")
    put("select 1 as id, 2 as other", "other.parquet")
    put("select 1 as id, date '2024-01-01' as n", "date.parquet")
    put("select 1 as id, 1e10::float8 as n", "wide.parquet")
    put("select 1 as id, 'x'::text as n", "text.parquet")
    duckdb.execute(f"copy (select 1 as id, {{'a': 1}} as n) to '{folder}/nested.parquet'")
    whole = pathlib.Path(f"{folder}/ids.parquet").read_bytes()
    pathlib.Path(f"{folder}/short.parquet").write_bytes(whole[:-9])
    damaged = bytearray(whole)
    damaged[4:60] = bytes(56)
    pathlib.Path(f"{folder}/damaged.parquet").write_bytes(damaged)
    pathlib.Path(f"{folder}/not.parquet").write_text("id\n1\n")
    same = []
    for statement, code, message in (
        ("copy w from '{}/ids.parquet'", "23514", "violates check constraint"),
        ("copy w from '{}/other.parquet'", "42703", 'column "other" of file'),
        ("copy w from '{}/date.parquet'", "42804", "expression is of type date"),
        ("copy w from '{}/wide.parquet'", "22003", "integer out of range"),
        ("copy w from '{}/text.parquet'", "22P02", 'invalid input syntax for type integer: "x"'),
        ("copy w from '{}/nested.parquet'", "0A000", 'column "n"'),
        ("copy w from '{}/short.parquet'", "22P04", "short.parquet"),
        ("copy w from '{}/damaged.parquet'", "22P04", "damaged.parquet"),
        ("copy w from '{}/not.parquet'", "22P04", "not.parquet"),
        ("copy w from '{}/none.parquet'", "58P01", "No such file or directory"),
        ("copy w (id, n) from '{}/ids.parquet'", "42703", 'has no column "n"'),
        ("copy w from 'ids.parquet'", "42602", "relative path not allowed"),
        ("copy w to 'ids.parquet'", "42602", "relative path not allowed for COPY to file"),
        ("copy w to '{}/no/ids.parquet'", "58P01", "for writing: No such file or directory"),
        ("copy (select 1 a, 2 a) to '{}/e.parquet'", "42701", "more than once"),
        ("copy (select 1 / (9000 - i) as x from generate_series(1, 20000) i) to '{}/e.parquet'",
         "22012", "division by zero"),
        ("copy (select 'NaN'::numeric(9,2) as x) to '{}/e.parquet'", "22003", 'column "x"'),
    ):
        got = refused(ours, statement.format(folder) + " (format parquet)")
        ok = got is not None and got[0] == code and message in got[1]
        same.append(check(f"{code} {statement.format('')}", ok, got))
    same.append(check("nothing came in", ours.execute("select count(*) from w").fetchone()[0] == 0))
    ours.execute("create role nobody login")
    with psycopg.connect(host="127.0.0.1", port=ours.info.port, user="nobody",
                         dbname=ours.info.dbname, autocommit=True) as other:
        for statement in (f"copy (select 1 as x) to '{folder}/e.parquet' (format parquet)",
                          f"copy w from '{folder}/ids.parquet' (format parquet)"):
            got = refused(other, statement)
            same.append(check("not without the right", got and got[0] == "42501", got))
    return same


def canceled(ours, folder):
    query = "select i, repeat('x', 100) as t from generate_series(1, 100000000) i"
    got = []
    work = threading.Thread(target=lambda: got.append(
        refused(ours, f"copy ({query}) to '{folder}/big.parquet' (format parquet)")))
    work.start()
    time.sleep(2)
    ours.cancel()
    work.join(20)
    same = [check("a canceled COPY says so", got and got[0] and got[0][0] == "57014", got)]
    time.sleep(0.3)
    left = [name for name in os.listdir(folder) if name.startswith(("big", ".", "e."))]
    same.append(check("nothing is left of what failed", left == [], left))
    return same


def main():
    same = []
    with tempfile.TemporaryDirectory(prefix="sluice-parquet-") as folder, sluice() as server:
        with connect(server) as ours:
            for part in (there_and_back, others, errors, canceled):
                same += part(ours, folder)
    print(f"{sum(same)} of {len(same)} alike")
    sys.exit(0 if all(same) else 1)


if __name__ == "__main__":
    main()
