"""Columnar scans that three gateways have shares of: the same answers as one gives alone, exactly
and at the snapshot of who asked, while others write, are killed, or do not belong here."""

import subprocess
import tempfile
import threading
import time

import psycopg

import views
from agents import connect, until
from gateways import expecting, finish, gateways, launch, near
from servers import free_port, sluice_binary, stop

KEYSPACE = "spread"
# In so many files, each with a row group.
ROWS, FILES, KINDS = 12_000, 6, 50
SECRET = "only-for-tests"
QUERIES = [
    "select count(*) from s",
    "select count(*), sum(amount), sum(id), min(note), max(at), avg(amount) from s",
    "select kind, count(*), sum(amount * (1 - rate)), avg(rate), max(note) from s group by kind",
    "select kind, sum(amount) from s where id % 7 = 3 and at >= '2024-03-01' group by kind "
    "having count(*) > 10",
    "select extract(year from at), count(distinct kind), sum(case when id % 2 = 0 then amount else "
    "rate end) from s group by 1",
    "select k.name, count(*), sum(s.amount) from s join kinds k on k.id = s.kind group by k.name",
    "select count(*) from s a join s b on a.id = b.id + 1 where a.kind = 3",
    "select id, amount from s order by amount desc, id limit 20",
    "select id, note from s where id between 500 and 700",
    "select kind, count(*) from s where kind in (select id from kinds where name like 'kind 1%') "
    "group by kind",
    "select k.id, (select max(s.amount) from s where s.kind = k.id) from kinds k",
    "select count(*) from s where note is null union all select count(*) from kinds",
]


def flags_of(ports, store):
    """The flags of each gateway."""
    def flags(number):
        return ["--view-store", store, "--scan-listen", f"127.0.0.1:{ports[number]}",
                "--scan-secret", SECRET, "--scan-rows", "1000",
                "--data", f"{store.removeprefix('file://')}/../cache{number}"]
    return flags


def run(cluster):
    """What went wrong."""
    wrong = []
    expect = expecting(wrong)
    with tempfile.TemporaryDirectory(prefix="sluice-spread-") as folder:
        store = f"file://{folder}/views"
        flags = flags_of([free_port() for _ in range(3)], store)
        with gateways(cluster, 3, keyspace=KEYSPACE, flags=flags) as all_of:
            filled(all_of)
            for part in (answers, told, writers, killed, strangers, refused):
                began = time.monotonic()
                part(cluster, all_of, expect, wrong)
                print(f"   {part.__name__}: {time.monotonic() - began:.1f} s")
    return wrong


def filled(all_of):
    with connect(all_of[0]) as a:
        a.execute("create table kinds (id int primary key, name text)")
        a.execute(f"insert into kinds select x, 'kind ' || x from generate_series(0, {KINDS}) x")
        with a.transaction():
            a.execute("create table s (id int primary key, kind int, amount numeric(12, 2), "
                      "rate numeric(6, 4), note text, at date)")
            a.execute(f"insert into s select x, x % {KINDS}, x * 0.37, (x % 97) / 100.0, "
                      "case when x % 11 > 0 then 'n' || x end, date '2024-01-01' + x % 400 "
                      f"from generate_series(1, {ROWS // FILES}) x")
        for table in ("s", "kinds"):
            a.execute(f"alter table {table} set (columnar = on)")
            a.execute(f"refresh columnar view {table}")
        for n in range(1, FILES):
            a.execute("insert into s select id + %s, kind, amount, rate, note, at from s "
                      "where id <= %s", (n * ROWS // FILES, ROWS // FILES))
            a.execute("refresh columnar view s")
    followed(all_of)
    for server in all_of.servers:
        until(lambda server=server: has_peers(server), "all know each other")


def has_peers(server):
    with connect(server) as c:
        return is_spread(c, QUERIES[1])


def followed(all_of):
    """Waits until all gateways have the same generations."""
    def generations():
        return {tuple(connect_once(server, "select relname, generation from pg_stat_columnar_views "
                                   "order by 1")) for server in all_of.servers}
    until(lambda: len(generations()) == 1 and all(g for _, g in next(iter(generations()))),
          "all have the views")


def connect_once(server, sql):
    with connect(server) as c:
        return c.execute(sql).fetchall()


def asked(connection, sql, gateways=0):
    """The rows of a query whose scans so many gateways have shares of."""
    connection.execute(f"set sluice.scan_gateways = {gateways}")
    connection.execute("set sluice.read_engines = 'columnar'")
    return connection.execute(sql).fetchall()


def is_spread(connection, sql):
    connection.execute("set sluice.read_engines = 'columnar'")
    lines = connection.execute(f"explain {sql}").fetchall()
    return any("DistributedExec" in line for (line,) in lines)


def answers(_cluster, all_of, expect, _wrong):
    """Each gateway, alone and with the others."""
    spread = 0
    for server in all_of.servers:
        with connect(server) as c:
            for sql in QUERIES:
                alone = asked(c, sql, 1)
                expect(sql, sorted(map(repr, asked(c, sql))), sorted(map(repr, alone)))
                spread += is_spread(c, sql)
            c.execute("set sluice.scan_gateways = 1")
            expect("alone", is_spread(c, QUERIES[1]), False)
        with open(server.log) as log:
            again = [line for line in log if "begins again on this one" in line]
        expect("all shares are done", again, [])
    print(f"   {spread} of {3 * len(QUERIES)} queries were spread")
    expect("most are spread", spread > 2 * len(QUERIES), True)


def told(_cluster, all_of, expect, _wrong):
    """EXPLAIN names the shares, and ANALYZE what they did; errors are those of one gateway."""
    with connect(all_of[0]) as c:
        c.execute("set sluice.read_engines = 'columnar'")
        lines = [line for (line,) in c.execute(f"explain analyze {QUERIES[1]}").fetchall()]
        expect("two are remote", any("remote_coordinator_channels=2" in l for l in lines), True)
        leaf = [line for line in lines if "ViewScan" in line]
        expect("of all rows", "output_rows=12.00 K" in leaf[0], True)
        for sql, code in (("select sum(amount / (id - 77)) from s", "22012"),
                          ("select sum(id * 1000000) from s", "22003")):
            expect(sql, sqlstate(c, sql), code)
        c.execute("set statement_timeout = '150ms'")
        expect("cancelled", sqlstate(c, "select count(*) from s a, s b where a.amount < b.rate"),
               "57014")


def sqlstate(connection, sql):
    try:
        connection.execute(sql)
    except psycopg.Error as error:
        return error.sqlstate
    return None


def writers(_cluster, all_of, expect, wrong):
    """Rows and shared scans at one snapshot, own writes included, beside writers elsewhere."""
    stop_all, looks = threading.Event(), 0

    def write(number):
        with connect(all_of[number]) as c:
            while not stop_all.is_set():
                try:
                    views.change(c, "s", "amount", 100 * number + looks)
                except psycopg.Error as error:
                    if error.sqlstate not in views.RETRY:
                        wrong.append(f"writer: {error.sqlstate} {error}")

    threads = [threading.Thread(target=write, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    question = "select /*+ READ_FROM_STORAGE({}[s]) */ count(*), sum(amount), sum(id), " \
               "count(note) from s"
    deadline = time.monotonic() + 12
    spread = 0
    while time.monotonic() < deadline and not wrong:
        with connect(all_of[looks % 3]) as c:
            c.execute("begin isolation level repeatable read")
            c.execute("update s set amount = amount + 0.01 where id = %s", (5_000 + looks,))
            try:
                shared = c.execute(question.format("COLUMNAR")).fetchone()
                expect("at one snapshot", shared, c.execute(question.format("ROW")).fetchone())
                spread += is_spread(c, question.format("COLUMNAR"))
            except psycopg.errors.ObjectNotInPrerequisiteState:
                pass
            c.execute("rollback")
        looks += 1
    stop_all.set()
    finish(threads, 60)
    print(f"   {looks} looks beside writers, {spread} of them spread")
    expect("spread beside writers", spread > 0, True)


def killed(_cluster, all_of, expect, wrong):
    """A gateway that is gone, with shares or before, costs time and no answer."""
    with connect(all_of[0]) as c:
        wanted = asked(c, QUERIES[1], 1)
        threading.Timer(0.5, lambda: all_of.kill(2)).start()
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            expect("beside a kill", asked(c, QUERIES[1]), wanted)
    all_of.restart(2)
    followed(all_of)
    time.sleep(5.5)
    with connect(all_of[2]) as c:
        expect("after a restart", asked(c, QUERIES[1]), wanted)
        expect("spread again", is_spread(c, QUERIES[1]), True)


def strangers(cluster, all_of, expect, wrong):
    """Who has another secret is left alone; if it asks all the same, it gets no share done, and its
    answers as ever."""
    with tempfile.TemporaryDirectory(prefix="sluice-stranger-") as folder, \
            cluster.cql(KEYSPACE) as cql:
        mine = f"127.0.0.1:{free_port()}"
        flags = [*near(cluster, 0), "--view-store", all_of.flags(0)[1], "--scan-listen", mine,
                 "--scan-secret", "other", "--scan-rows", "1000"]
        server = launch(cluster, KEYSPACE, folder, flags=flags)
        try:
            until(lambda: sqlstate_of(server, QUERIES[0]) is None, "it has the view")
            expect("it is alone", has_peers(server), False)
            mark = cql.execute("select mark from scans where address = %s", (mine,)).one().mark
            until(lambda: is_deceived(cql, server, all_of.flags(1)[3], mark), "it is deceived")
            with connect(server) as c:
                expect("a stranger's", asked(c, QUERIES[1]), asked(c, QUERIES[1], 1))
            with open(server.log) as log:
                expect("it is told", "another secret" in log.read(), True)
        finally:
            stop(server.process)
    # The other one says again who it is.
    until(lambda: all(has_peers(server) for server in all_of.servers), "they know each other")


def is_deceived(cql, server, other, mark):
    """Whether it takes another gateway, as if that had its secret, for one that shares its scans."""
    cql.execute("insert into scans (address, mark) values (%s, %s)", (other, mark))
    return has_peers(server)


def sqlstate_of(server, sql):
    with connect(server) as c:
        c.execute("set sluice.read_engines = 'columnar'")
        return sqlstate(c, sql)


def refused(cluster, _all_of, expect, _wrong):
    """Flags that cannot be meant."""
    start = [str(sluice_binary()), "start", "--store", "cassandra", "--contact-points",
             cluster.contact_points(), "--keyspace", KEYSPACE, "--auth", "trust", "--listen",
             f"127.0.0.1:{free_port()}"]
    with tempfile.TemporaryDirectory() as folder:
        shared = ["--view-store", f"file://{folder}/views"]
        for flags, message in (
                (["--scan-listen", "127.0.0.1:0"], "--scan-listen needs --view-store"),
                ([*shared, "--scan-listen", "0.0.0.0:7000"], "--scan-secret"),
                ([*shared, "--scan-listen", "127.0.0.1:0"], "no address of a gateway"),
        ):
            told = subprocess.run([*start, *flags], capture_output=True, text=True, timeout=60,
                                  cwd=folder, check=False)
            expect(f"{flags} is refused", told.returncode != 0, True)
            expect(f"{flags} says", message in told.stderr, True)
