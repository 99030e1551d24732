"""Rows as readers beside Sluice find them: one CQL row each, a CQL column for each SQL column that
has an exact type there, and a filter that counts the live ones."""

import datetime
import decimal
import threading
import time
import uuid

import psycopg

from gateways import finish

TABLE = """create table public.things (
    place text, id int, flag boolean, small smallint, big bigint, real_ real, double_ float8,
    price numeric(40, 4), day date, at timestamptz, doc jsonb, plain json, raw bytea, code uuid,
    tags int[], span interval, "odd ""name" varchar(10), primary key (place, id)
) with (partition_by = (place))"""
ROW = """insert into public.things values (%s, %s, true, -7, 9007199254740993, 1.5, -0.25,
    12345678901234567890.1234, '2026-02-03', '2026-02-03 04:05:06.789012+00',
    '{{"b": 1, "a": [true, null]}}', '{{"z":  1}}', '\\x00ff', '{}', '{{1,2}}', '1 day', 'ü"x')"""
CODE = "11111111-2222-3333-4444-555555555555"
# PostgreSQL's day zero, in microseconds since 1970.
EPOCH = 946_684_800_000_000
WRITERS_SECONDS = 4


def run(cluster, pair, keyspace):
    """What went wrong."""
    wrong = []
    with cluster.cql(keyspace) as cql:
        with psycopg.connect(pair[0].dsn(), autocommit=True) as a, \
                psycopg.connect(pair[1].dsn(), autocommit=True) as b:
            values(cql, a, b, wrong)
            evolution(cql, a, b, wrong)
            counts(cql, pair, a, wrong)
    return wrong


def space(cql, name):
    """The CQL table of a SQL table, as schemas/lwt.md says to find it."""
    rows = cql.execute("select table_name, comment from system_schema.tables "
                       f"where keyspace_name = '{cql.keyspace}'")
    found = [r.table_name for r in rows if r.comment == name]
    assert len(found) == 1, (name, found)
    return found[0]


def live(cql, name, what="*"):
    return cql.execute(f"select {what} from {space(cql, name)} "
                       "where kind = 1 and live = true allow filtering")


def settled(wrong, what, look, wanted):
    """Rows of commits over several partitions are finished a moment after they are told."""
    deadline = time.monotonic() + 15
    while (got := look()) != wanted:
        if time.monotonic() > deadline:
            wrong.append(f"{what}: {got!r}, not {wanted!r}")
            return
        time.sleep(0.2)


def values(cql, a, b, wrong):
    """All types, written by one gateway and changed by the other."""
    a.execute(TABLE)
    for n in range(4):
        a.execute(ROW.format(CODE), (f"p{n % 2}", n))
    b.execute("update things set big = null, price = 'NaN', tags = null where id = 1")
    b.execute("delete from things where id = 2")
    rows = {row["id_2"]: row for row in named(cql, "public.things")}
    if sorted(rows) != [0, 1, 3]:
        wrong.append(f"live rows: {sorted(rows)}")
        return
    micros = int(datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.UTC).timestamp()) * 10**6
    expected = {
        "place_1": "p0", "id_2": 0, "flag_3": True, "small_4": -7, "big_5": 9007199254740993,
        "real__6": 1.5, "double__7": -0.25,
        "price_8": decimal.Decimal("12345678901234567890.1234"),
        "day_9": "2026-02-03", "at_10": micros + 789012 - EPOCH,
        "doc_11j": '{"a": [true, null], "b": 1}', "plain_12": '{"z":  1}', "raw_13": b"\0\xff",
        "code_14": uuid.UUID(CODE), 'odd "name_17': 'ü"x',
    }
    got = {name: rows[0].get(name) for name in expected}
    got["day_9"] = str(got["day_9"])
    if got != expected:
        wrong.append(f"columns: {got}, not {expected}")
    if rows[1]["big_5"] is not None or rows[1]["price_8"] is not None:
        wrong.append(f"NULL and NaN: {rows[1]}")
    for c in (a, b):
        back = c.execute("select big, price::text, tags, span::text, doc::text, raw from things "
                         "where id = 1").fetchall()
        if back != [(None, "NaN", None, "1 day", expected["doc_11j"], b"\0\xff")]:
            wrong.append(f"read back: {back}")


def named(cql, name):
    """Live rows with the columns' own names, which named tuples would change."""
    from cassandra.cluster import EXEC_PROFILE_DEFAULT
    from cassandra.query import dict_factory

    table = space(cql, name)
    return list(cql.execute(
        f"select * from {table} where kind = 1 and live = true allow filtering",
        execution_profile=cql.execution_profile_clone_update(
            EXEC_PROFILE_DEFAULT, row_factory=dict_factory)))


def evolution(cql, a, b, wrong):
    """Columns come, go and come again while the other gateway writes."""
    a.execute("create table public.grows (id int primary key, v text)")
    b.execute("insert into grows values (1, 'one')")
    a.execute("alter table grows add column w int default 7")
    b.execute("insert into grows values (2, 'two', 8)")
    b.execute("alter table grows drop column v")
    a.execute("alter table grows add column v int")
    b.execute("insert into grows values (3, 9, 10)")
    a.execute("update grows set v = 5 where id = 1")
    a.execute("alter table grows rename to grown")
    for c in (a, b):
        got = c.execute("select id, w, v from grown order by id").fetchall()
        if got != [(1, 7, 5), (2, 8, None), (3, 9, 10)]:
            wrong.append(f"after ALTER TABLE: {got}")
    got = sorted((r.id_1, r.w_3, r.v_4) for r in live(cql, "public.grown"))
    if got != [(1, 7, 5), (2, 8, None), (3, 9, 10)]:
        wrong.append(f"after ALTER TABLE, by CQL: {got}")


def counts(cql, pair, a, wrong):
    """count(*) by the filter is SQL's, after writers on both gateways."""
    a.execute("create table public.crowd (id int primary key, v int unique)")

    def write(server, number):
        with psycopg.connect(server.dsn(), autocommit=True) as c:
            deadline, n = time.monotonic() + WRITERS_SECONDS, 0
            while time.monotonic() < deadline:
                n += 1
                try:
                    c.execute("insert into crowd values (%s, %s), (%s, %s)",
                              (n * 2, n * 4 + number, n * 2 + 1, n * 4 + 2 + number))
                    c.execute("delete from crowd where id = %s", (n * 2 - 3,))
                    c.execute("update crowd set v = -v where id = %s", (n,))
                except psycopg.Error as error:
                    if error.sqlstate not in ("23505", "40001", "40P01"):
                        wrong.append(str(error))

    threads = [threading.Thread(target=write, args=(pair[n], n)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    finish(threads, 60)
    expected = a.execute("select count(*), sum(v) from crowd").fetchone()
    settled(wrong, "count(*) and sum by CQL",
            lambda: tuple(live(cql, "public.crowd", "count(*), sum(v_2)").one()), expected)
    print(f"   {expected[0]} rows counted by both")
