"""A question about every event ever: Sluice's columns beside Spark with the Cassandra connector, over
the same rows of the same node. What an endpoint does for analytics, with nothing else to run.

Spark has the machine's cores and 2 GiB, its columns pruned and the filter that schemas/lwt.md gives,
and reads one SSTable after a major compaction; the first answer of each side is not counted.
"""

import datetime
import os
import pathlib
import sys
import threading
import time

import psycopg

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cluster"), str(HERE.parent / "spark")]

import native  # noqa: E402
from cassandra.cluster import Cluster  # noqa: E402
from gateways import gateways  # noqa: E402
from nodes import cassandra  # noqa: E402
from starter import spark  # noqa: E402

SECONDS = int(os.environ.get("BENCH_SPARK_SECONDS", "240"))
ROWS_MAX = int(os.environ.get("BENCH_SPARK_ROWS", "2000000"))
WRITERS, ROWS_PER_INSERT, SHARDS, INSERTS_PER_BUCKET = 4, 200, 16, 40
KEYSPACE = "demo"
DAY_ZERO = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
# As `sluice demo --cluster` makes it.
EVENTS = """create schema demo; create table demo.events (
    event_bucket text, shard int, event_id uuid, entity_id text not null, event_day date not null,
    event_time timestamptz not null, event_type text not null, observer_id text,
    lat double precision, lon double precision, altitude_m real, temp_internal_c real,
    temp_external_c real, text_payload text, primary key (event_bucket, shard, event_id)
) with (partition_by = (event_bucket, shard))"""
INSERT = """insert into demo.events select
    to_char(t, 'YYYY-MM-DD"T"HH24:MI'), {shard}, md5('{number}/' || n)::uuid,
    'drone-{shard}-' || n * 7919 % 32, t::date, t + n * interval '4 ms',
    (array['position', 'position', 'position', 'battery', 'temperature', 'proximity'])[n % 6 + 1],
    'station-' || n % 7, 45 + random(), 7 + random(), 20 + 100 * random(), 30 + 12 * random(),
    8 + 10 * random(), 'drone ' || n % 32 || ' of fleet {shard}: all systems as expected, report '
    || n * {number} from generate_series(1, {rows}) n,
    (select timestamptz '2026-01-01' + {bucket} * interval '15 minutes' t) x"""
# What is asked of both; Spark's columns have the names that CQL has.
QUESTIONS = {
    "512 drones": "select {entity_id} g, count(*) n, min({event_time}) a, max({event_time}) b "
                  "from {events} group by {entity_id}",
    "4 types": "select {event_type} g, count(*) n, min({altitude_m}) a, max({altitude_m}) b "
               "from {events} group by {event_type}",
}


def fill(dsn):
    """How many rows were inserted, as many as it takes in a while."""
    deadline, lock, state = time.monotonic() + SECONDS, threading.Lock(), {"number": 0}

    def write():
        with psycopg.connect(dsn, autocommit=True) as c:
            while time.monotonic() < deadline:
                with lock:
                    number = state["number"]
                    if number * ROWS_PER_INSERT >= ROWS_MAX:
                        return
                    state["number"] += 1
                c.execute(INSERT.format(
                    number=number, shard=number % SHARDS, rows=ROWS_PER_INSERT,
                    bucket=number // (SHARDS * INSERTS_PER_BUCKET)))

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def bench(line, runs):
    with cassandra() as cluster, gateways(cluster, keyspace=KEYSPACE, release=True) as ours, \
            psycopg.connect(ours[0].dsn(), autocommit=True) as c:
        c.execute(EVENTS)
        began = time.monotonic()
        fill(ours[0].dsn())
        took = time.monotonic() - began
        node = cluster.nodes[0]
        node.nodetool("flush", KEYSPACE)
        node.nodetool("compact", KEYSPACE)
        c.execute("alter table demo.events set (columnar = on)")
        view = ask(c, "refresh columnar view demo.events")[0]
        c.execute("set sluice.read_engines = 'columnar'")
        rows = c.execute("select count(*) from demo.events").fetchone()[0]
        mine, theirs = names(cluster, c)
        with spark(cluster) as session:
            print(f"-- demo.events: {rows} rows, inserted in {took:.0f} s, the view made in "
                  f"{view:.1f} s; Spark {session.version}", flush=True)

            def both(question):
                took, answer = session.ask(question.format_map(theirs))[::-1]
                own_took, own = ask(c, question.format_map(mine))
                answer = {(r["g"], r["n"], plain(r["a"]), plain(r["b"])) for r in answer}
                if answer != {(g, n, plain(a), plain(b)) for g, n, a, b in own}:
                    raise RuntimeError(f"{question}: Spark says otherwise")
                return rows / own_took / 1000, rows / took / 1000

            for name, question in QUESTIONS.items():
                both(question)
                pairs = [both(question) for _ in range(runs)]
                line(f"GROUP BY of every event, {name}", *zip(*pairs), "Spark", "krows/s", goal=10)


def ask(connection, sql):
    """Seconds, and the rows."""
    began = time.monotonic()
    done = connection.execute(sql)
    rows = done.fetchall() if done.description else []
    return time.monotonic() - began, rows


def plain(value):
    """A value as both can be compared: times in microseconds since 2000, float4 as its number."""
    if isinstance(value, datetime.datetime):
        return (value - DAY_ZERO) // datetime.timedelta(microseconds=1)
    return float(f"{float(value):.4g}") if isinstance(value, (str, float)) else value


def names(cluster, connection):
    """What a question calls the columns and the table, in SQL and in CQL."""
    attributes = connection.execute(
        "select attname, attnum from pg_attribute where attrelid = 'demo.events'::regclass "
        "and attnum > 0").fetchall()
    node = cluster.nodes[0]
    driver = Cluster([node.host], port=cluster.port)
    try:
        space = native.space(driver.connect(KEYSPACE), "demo.events")
    finally:
        driver.shutdown()
    live = f"(select * from cluster.{KEYSPACE}.{space} where kind = 1 and live = true)"
    return ({name: name for name, _ in attributes} | {"events": "demo.events"},
            {name: f"{name}_{number}" for name, number in attributes} | {"events": live})
