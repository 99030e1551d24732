"""Parquet files at the endpoint, against DuckDB.

- COPY TO: DuckDB reads the same values; COPY FROM takes them back, and DuckDB's own files;
- read_parquet: the same answers as DuckDB's, alone, joined with tables, over several files;
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


def read(ours, folder):
    """read_parquet beside DuckDB's."""
    parts = f"{folder}/parts"
    os.makedirs(f"{parts}/more")
    for at, name in enumerate(("a", "b", "more/c")):
        duckdb.execute(f"""copy (select i as id, (i % 7)::utinyint as k, i * 0.5 as x,
            case when i % 10 = 0 then 'nan'::double when i % 11 = 0 then null else i / 3.0 end as f,
            (i / 100)::decimal(15,4) as n, 'name ' || (i % 100) as name,
            timestamp '2024-01-01' + interval (i) minute as ts,
            (timestamp '2024-01-01' + interval (i) second)::timestamp_ns as fine,
            date '2024-01-01' + (i % 366)::int as day, i % 3 = 0 as even,
            [i, i + 1] as list, md5(i::varchar)::uuid as u, i::ubigint * 1000000000000 as big
            from range({at * 5000}, {at * 5000 + 5000}) t(i)) to '{parts}/{name}.parquet'
            (format parquet, row_group_size 2048)""")
    ours.execute("create table names (k int primary key, word text)")
    ours.execute("insert into names select i, 'k' || i from generate_series(0, 5) i")
    duckdb.execute("create or replace table names as select i as k, 'k' || i as word from range(6) t(i)")
    one, many = f"'{parts}/a.parquet'", f"'{parts}/*.parquet'"
    both = f"'{parts}/a.parquet', '{parts}/more/c.parquet'"
    listed = f"['{parts}/a.parquet', '{parts}/more/c.parquet']"
    queries = [
        ("select count(*), sum(id), sum(x), min(name), max(day), sum(big) from {}", one, one),
        ("select k, count(*), sum(n), max(ts) from {} where id > 300 group by k order by k", many,
         many),
        ("select count(*) from {} where f > 1000", many, many),
        ("select count(*) from {} where f < 10 or f is null", many, many),
        ("select id, f, fine from {} where id % 1000 = 7 order by id", many, many),
        ("select id, list[1], u::text, even from {} where name = 'name 17' and day > '2024-06-01' "
         "order by id limit 20", many, many),
        ("select count(*), min(id), max(id) from {}", both, listed),
        ("select count(*) from {}", f"'{parts}/**/*.parquet'", f"'{parts}/**/*.parquet'"),
        ("select word, count(*), sum(x) from {} r join names using (k) group by word order by 1",
         many, many),
        ("select word, r.id from names left join {} r on r.k = names.k and r.id < 9 "
         "order by 1, 2", one, one),
        ("select count(*) from names where k not in (select k from {} where id < 4)", one, one),
        ("select a.id, b.id from {} a join {} b on a.id + 1 = b.id where a.id < 5 order by 1", one,
         one),
    ]
    same = []
    for query, mine, theirs in queries:
        places = query.count("{}")
        mine = query.format(*[f"read_parquet({mine})"] * places)
        theirs = query.format(*[f"read_parquet({theirs})"] * places)
        mine = ours.execute(mine).fetchall()
        theirs = duckdb.execute(theirs).fetchall()
        shown = [[tuple(str(v) if not isinstance(v, float) else f"{v:.9g}" for v in row)
                  for row in rows] for rows in (mine, theirs)]
        same.append(check(query[:70], shown[0] == shown[1], mine[:5], theirs[:5]))
    plan = "\n".join(row[0] for row in ours.execute(
        f"explain select k, sum(x) from read_parquet({many}) where id > 9000 group by k"))
    same.append(check("the source has projection and filter", "projection=[id@0 as c0, k@1 as c1, x@2 as c2]" in plan
                      and "predicate=id@0 > 9000" in plan, plan))
    ours.execute("set sluice.read_engines = 'row'")
    rows = ours.execute(f"select count(*), sum(x) from read_parquet({many})").fetchone()
    ours.execute("reset sluice.read_engines")
    same.append(check("the row executor too", str(rows[0]) == "10000", rows))
    count = f"select count(*) from read_parquet('{parts}/*.parquet')"
    for _ in range(3):
        ours.execute(count)
    duckdb.execute(f"copy (select * from '{parts}/a.parquet' limit 7) to '{parts}/d.parquet'")
    rows = ours.execute(count).fetchone()[0]
    same.append(check("a new file is found", rows == 10007, rows))
    ours.execute(f"create table loaded as select id, list, u from read_parquet({one})")
    ours.execute(f"insert into loaded select id + 5000, list, u from read_parquet({one})")
    rows = ours.execute("select count(*), sum(list[2]) from loaded").fetchone()
    same.append(check("INSERT and CREATE TABLE AS", str(rows) == "(10000, Decimal('25005000'))",
                      rows))
    duckdb.execute(f"copy (select 1::varchar as id) to '{folder}/odd.parquet'")
    duckdb.execute(f"copy (select 1 as id, {{'a': 1}} as s) to '{folder}/nested.parquet'")
    duckdb.execute(f"copy (select timestamp_ns '2024-01-01 00:00:00.000000001' as ts) to "
                   f"'{folder}/nanos.parquet'")
    ours.execute("create role reader login")
    for statement, code, message in (
        (f"'{parts}/a.parquet', '{folder}/odd.parquet'", "42804", "odd.parquet"),
        (f"'{folder}/nested.parquet'", "0A000", 'column "s"'),
        (f"'{folder}/nanos.parquet'", "22008", "microseconds"),
        (f"'{folder}/none*.parquet'", "58P01", "no files match"),
        (f"'{folder}/none.parquet'", "58P01", "none.parquet"),
        ("'a.parquet'", "42602", "relative path"),
        (f"'{folder}/every.parquet') for update of (r", "42601", "syntax"),
        ("'a' || 'b'", "0A000", "literals"),
    ):
        got = refused(ours, f"select * from read_parquet({statement})")
        same.append(check(f"{code} {message}", got and got[0] == code and message in got[1], got))
    with psycopg.connect(host="127.0.0.1", port=ours.info.port, user="reader",
                         dbname=ours.info.dbname, autocommit=True) as other:
        got = refused(other, count)
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
            for part in (there_and_back, others, errors, read, canceled):
                same += part(ours, folder)
    print(f"{sum(same)} of {len(same)} alike")
    sys.exit(0 if all(same) else 1)


if __name__ == "__main__":
    main()
