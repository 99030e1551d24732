"""Columnar views on a cluster: two gateways, each with views of its own, show the same rows as the
row path at every snapshot, and everything that was acknowledged before."""

import random
import threading
import time

import psycopg

from gateways import finish

ROWS = 5_000
LOOK = ("select /*+ READ_FROM_STORAGE({}[t]) */ count(*), sum(amount), sum(id), min(note), "
        "max(note), count(note) from t")
# What a statement may meet where others write too.
RETRY = {"40001", "40P01"}


def connect(server):
    return psycopg.connect(server.dsn(), autocommit=True)


def run(pair, seconds):
    """What went wrong."""
    wrong = []
    with connect(pair[0]) as a:
        a.execute("create table t (id int primary key, amount numeric(12, 2), note text)")
        a.execute(f"insert into t select x, x * 0.5, 'n' || x from generate_series(1, {ROWS}) x")
        a.execute("alter table t set (columnar = on)")
        a.execute("refresh columnar view t")
    with connect(pair[1]) as b:
        b.execute("refresh columnar view t")
        path = "\n".join(r[0] for r in b.execute("explain " + LOOK.format("COLUMNAR")).fetchall())
        if "Columnar" not in path:
            wrong.append(f"no column path: {path}")
    stop = threading.Event()
    looks = []
    threads = [threading.Thread(target=writer, args=(pair[n], n, stop, wrong)) for n in (0, 1)]
    threads += [threading.Thread(target=fresh, args=(pair, n, stop, wrong, looks)) for n in (0, 1)]
    threads += [threading.Thread(target=refresher, args=(pair[0], stop, wrong))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    compared = 0
    while time.monotonic() < deadline and not wrong:
        compared += compare(pair[compared % 2], wrong)
    stop.set()
    finish(threads, 120)
    print(f"   {compared} looks through both paths, {len(looks)} at what was just written")
    if not compared or not looks:
        wrong.append("nothing was looked at")
    restart(pair, wrong)
    return wrong


def compare(server, wrong):
    """Both paths at one snapshot; how often there was one."""
    with connect(server) as c:
        c.execute("begin isolation level repeatable read")
        try:
            columns = c.execute(LOOK.format("COLUMNAR")).fetchone()
            rows = c.execute(LOOK.format("ROW")).fetchone()
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            # Two refreshes have ended since the snapshot.
            if "older than the view" not in str(error.diag.message_detail):
                wrong.append(f"look: {error} {error.diag.message_detail}")
            return 0
    if rows != columns:
        wrong.append(f"rows {rows}, columns {columns}")
    return 1


def change(connection, table, column, row):
    """A transaction of several statements on some rows."""
    with connection.transaction():
        connection.execute(f"update {table} set {column} = {column} + 1, note = 'w' || id "
                           "where id between %s and %s", (row, row + 5))
        connection.execute(f"delete from {table} where id = %s", (row + 3,))
        connection.execute(f"insert into {table} values (%s, 1, null) on conflict (id) "
                           f"do update set {column} = {table}.{column} + 1", (row + 3,))


def writer(server, number, stop, wrong):
    """Changes rows in transactions of several statements."""
    rand = random.Random(number)
    with connect(server) as c:
        while not stop.is_set():
            row = rand.randrange(ROWS)
            try:
                change(c, "t", "amount", row)
            except psycopg.Error as error:
                if error.sqlstate not in RETRY:
                    wrong.append(f"writer: {error.sqlstate} {error}")


def fresh(pair, number, stop, wrong, looks):
    """What one gateway acknowledged, the other's views show."""
    key = ROWS * 10 + number
    with connect(pair[number]) as mine, connect(pair[1 - number]) as other:
        while not stop.is_set():
            at = len(looks)
            try:
                mine.execute("insert into t values (%s, %s, 'fresh') on conflict (id) "
                             "do update set amount = excluded.amount", (key, at))
                seen = other.execute("select /*+ READ_FROM_STORAGE(COLUMNAR[t]) */ amount from t "
                                     "where id + 0 = %s", (key,)).fetchone()
            except psycopg.Error as error:
                wrong.append(f"fresh: {error.sqlstate} {error} {error.diag.message_detail}")
                return
            if seen is None or seen[0] != at:
                wrong.append(f"wrote {at}, the other gateway's columns show {seen}")
            looks.append(at)


def refresher(server, stop, wrong):
    with connect(server) as c:
        while not stop.wait(2):
            try:
                c.execute("refresh columnar view t")
            except psycopg.Error as error:
                wrong.append(f"refresh: {error.sqlstate} {error}")


def restart(pair, wrong):
    """A gateway that was killed makes its views anew, and shows what was written meanwhile."""
    pair.kill(1)
    with connect(pair[0]) as a:
        a.execute("update t set note = 'after' where id % 100 = 0")
    pair.restart(1)
    compare(pair[0], wrong)
    compare(pair[1], wrong)
