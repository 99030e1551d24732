"""Spark with the Cassandra connector reads Sluice's tables where they lie: as many rows by the
documented filter, the same keys, the same values, after writers on two gateways of which one dies."""

import base64
import decimal
import random
import struct
import sys
import threading
import time

import psycopg

import native
from gateways import ROOT, finish

sys.path.insert(0, str(ROOT / "tests" / "spark"))

from starter import spark  # noqa: E402

WRITERS_SECONDS = 6
KILLED_AFTER_S = 3
SETTLED_WITHIN_S = 60
# What a writer may meet, of the other one, and of its gateway's end.
FINE = {"23505", "40001", "40P01", "40003", "08006", "08007", None}
TABLES = """create table public.fleet (
    name text, place uuid, day date, seq bigint, price numeric(20, 4), at timestamptz, level real,
    weight float8, doc jsonb, raw bytea, ok boolean, small smallint, tags text[],
    primary key (name, place, seq)) with (partition_by = (name, place));
create unique index on fleet (weight);
create table public.stays (price numeric(12, 2), day date, at timestamp, ok boolean, v int,
    primary key (price, day, at, ok))"""
# How a type's values are compared: what to ask of SQL, and what its answer is in Spark's.
MICROS = "(extract(epoch from {0}) * 1000000)::bigint - 946684800000000"
SHOWN = {
    "jsonb": ("{0}::text", str),
    "json": ("{0}::text", str),
    "date": ("{0}::text", str),
    "uuid": ("{0}::text", str),
    "timestamp with time zone": (MICROS, int),
    "timestamp without time zone": (MICROS, int),
    "bytea": ("{0}", lambda v: base64.b64encode(v).decode()),
    "real": ("{0}", lambda v: single(v)),
}
# What is text where Spark tells of it, as numbers with a fraction are.
TOLD = {"real": lambda v: single(float(v)), "double precision": float, "numeric": decimal.Decimal}
# Kept in no column of their own.
ABSENT = {"text[]", "integer[]", "interval"}


def run(cluster, pair, keyspace):
    """What went wrong."""
    from cassandra.cluster import Cluster

    host, port = cluster.contact_points().split(",")[0].split(":")
    driver = Cluster([host], port=int(port))
    wrong = []
    try:
        cql = driver.connect(keyspace)
        with psycopg.connect(pair[0].dsn(), autocommit=True) as a:
            a.execute(native.TABLE)
            a.execute(TABLES)
            for n in range(40):
                a.execute(native.ROW.format(native.CODE), (f"p{n % 7}", n))
            a.execute("update things set big = null, price = 'NaN', doc = null where id % 5 = 1")
            a.execute("delete from things where id % 7 = 2")
            written(pair)
            with spark(cluster) as session:
                print(f"   Spark {session.version}")
                for name in ("things", "fleet", "stays"):
                    place = f"cluster.{keyspace}.{native.space(cql, f'public.{name}')}"
                    rows = compared(session, place, a, name, wrong)
                    print(f"   {name}: {rows} rows")
                joined(session, cql, keyspace, a, wrong)
    finally:
        driver.shutdown()
    return wrong


def written(pair):
    """Rows come, change and go by transactions on both gateways; one of them is killed."""

    def write(server, number):
        rng = random.Random(number)
        deadline = time.monotonic() + WRITERS_SECONDS
        try:
            with psycopg.connect(server.dsn(), autocommit=True) as c:
                while time.monotonic() < deadline:
                    try:
                        step(c, rng)
                    except psycopg.Error as error:
                        if error.sqlstate not in FINE:
                            raise
                        if c.closed:
                            return
        except psycopg.OperationalError:
            return

    threads = [threading.Thread(target=write, args=(pair[n % 2], n)) for n in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(KILLED_AFTER_S)
    pair.kill(1)
    finish(threads, 60)
    pair.restart(1)


def step(c, rng):
    """One transaction."""
    n = rng.randrange(10**9)
    name, place = f"n{n % 20}", f"{n % 3:032x}"
    what = rng.randrange(6)
    if what == 0:
        c.execute("delete from fleet where name = %s and seq %% 3 = 1", (name,))
    elif what == 1:
        c.execute("update fleet set price = -price, at = at + interval '1 microsecond', "
                  "level = null where name = %s", (name,))
    elif what == 2:
        c.execute("insert into stays values (%s, '2026-01-01', now(), %s, %s) "
                  "on conflict do nothing", (decimal.Decimal(n % 1000) / 4, n % 2 == 0, n % 1000))
    else:
        with c.transaction(force_rollback=what == 3):
            for seq in range(n % 4 + 1):
                c.execute(
                    "insert into fleet values (%s, %s, '2026-05-06', %s, %s, clock_timestamp(), "
                    "%s, %s, '{\"a\": [1, null]}', %s, true, %s, '{x}')",
                    (name, place, seq, decimal.Decimal(n) / 7, n / 3, n * 4.25 + seq,
                     bytes([n % 256, 0]), n % 1000 - 500))
            c.execute("update stays set v = v + 1 where price = %s", (n % 100,))


def expected(a, name):
    """The table's rows as Spark should have them, by column of CQL."""
    columns = a.execute(
        "select attname, attnum, format_type(atttypid, null) from pg_attribute where attrelid = "
        "%s::regclass and attnum > 0 and not attisdropped order by attnum", (name,)).fetchall()
    # The connector does not double the quotes within a name.
    columns = [c for c in columns if c[2] not in ABSENT and '"' not in c[0]]
    forms = [SHOWN.get(ty, ("{0}", lambda v: v)) for _, _, ty in columns]
    names = [f"{n}_{id}" + ("j" if ty == "jsonb" else "") for n, id, ty in columns]
    quoted = ['"' + n.replace('"', '""') + '"' for n, _, _ in columns]
    shown = ", ".join(form.format(q) for (form, _), q in zip(forms, quoted))
    rows = []
    for row in a.execute(f"select {shown} from {name}").fetchall():
        values = [None if v is None else turn(v) for v, (_, turn) in zip(row, forms)]
        values = [None if isinstance(v, decimal.Decimal) and v.is_nan() else v for v in values]
        rows.append(tuple(values))
    return names, [ty for _, _, ty in columns], rows


def single(number):
    """The float4 that its shortest text means; not all agree on that text."""
    return struct.unpack("f", struct.pack("f", number))[0]


def compared(session, place, a, name, wrong):
    """How many rows both have."""
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while True:
        names, types, rows = expected(a, name)
        quoted = ", ".join(f"`{n}`" for n in names)
        live = f"from {place} where kind = 1 and live = true"
        found = [tuple(None if row[n] is None else TOLD.get(ty, lambda v: v)(row[n])
                       for n, ty in zip(names, types))
                 for row in session.ask(f"select {quoted} {live}")[0]]
        count = session.ask(f"select count(*) n {live}")[0][0]["n"]
        if count == len(rows) == len(found) and set(found) == set(rows):
            return count
        if time.monotonic() > deadline:
            extra, lost = set(found) - set(rows), set(rows) - set(found)
            wrong.append(f"{name}: {len(rows)} rows, {count} counted; of Spark alone "
                         f"{sorted(extra, key=repr)[:3]}, of Sluice alone "
                         f"{sorted(lost, key=repr)[:3]}")
            return count
        time.sleep(1)


def joined(session, cql, keyspace, a, wrong):
    """A join and a GROUP BY of both."""
    fleet, stays = (f"(select * from cluster.{keyspace}.{native.space(cql, f'public.{name}')} "
                    "where kind = 1 and live = true)" for name in ("fleet", "stays"))
    got = session.ask(f"select f.name_1 name, count(*) n, sum(s.v_5) v from {fleet} f join {stays} s "
                      "on f.ok_11 = s.ok_4 group by f.name_1")[0]
    wanted = a.execute("select name, count(*), sum(v) from fleet join stays using (ok) "
                       "group by name").fetchall()
    if sorted((r["name"], r["n"], r["v"]) for r in got) != sorted(wanted):
        wrong.append(f"join: {got[:3]}…, not {wanted[:3]}…")
