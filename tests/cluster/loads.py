"""Bulk loads: COPY and INSERT … SELECT into tables that are made or truncated in the same
transaction. Their rows are plain writes, so what is looked at is that nobody sees them too early or
in part, that constraints hold as ever, and that nothing is left of a load that did not commit."""

import contextlib
import signal
import threading
import time

import psycopg

import native
from gateways import expecting

ROWS = 20_000
FILLED = 5_000
# Above what goes out at once, so that the first row's key is found in the store.
FAR = 60_000
TABLE = "create table {} (id int primary key, code text unique, part int not null, amount int " \
        "check (amount >= 0))"
LEFTOVERS_SECONDS = 90
VIEW_SECONDS = 30


def run(cluster, pair, keyspace):
    """What went wrong."""
    wrong = []
    expect = expecting(wrong)
    with cluster.cql(keyspace) as cql, psycopg.connect(pair[0].dsn(), autocommit=True) as a, \
            psycopg.connect(pair[1].dsn(), autocommit=True) as b:
        loads(cql, a, b, expect)
        refusals(a, expect)
        references(a, b, expect)
        truncated(pair[1].dsn(), a, b, expect)
        filled(pair[1].dsn(), a, b, expect)
        columnar(a, b, expect)
        statements(a, b, expect)
        progress(pair, a, b, expect)
    with cluster.cql(keyspace) as cql:
        interrupted(cluster, cql, pair, expect)
    return wrong


def rates(cluster, server, keyspace, count, live):
    """Rows per second: of COPY into a new table and into one that is there, beside the same rows
    written by Cassandra's own Python driver as cqlsh's COPY does it, each in turn."""
    with cluster.cql(keyspace) as cql, psycopg.connect(server.dsn(), autocommit=True) as a:
        cql.execute(f"create table {keyspace}.bare (id int primary key, code text, part int, "
                    "amount int)")
        insert = cql.prepare(f"insert into {keyspace}.bare (id, code, part, amount) "
                             "values (?, ?, ?, ?)")
        began = time.monotonic()
        batches(cql, insert, numbered(count))
        report("bare CQL, batches of ten from one Python process", count, began)
        for number, (what, text) in enumerate((
                ("COPY into a new table", "create table {} (id int primary key, code text, "
                 "part int, amount int)"),
                ("COPY into a new table, UNIQUE, an index", TABLE + "; create index on {} (part)"),
        )):
            began = time.monotonic()
            with a.transaction():
                for statement in text.format(f"rate{number}", f"rate{number}").split(";"):
                    a.execute(statement)
                copy(a, f"rate{number}", numbered(count))
            report(what, count, began)
        a.execute("create table there (id int primary key, code text, part int, amount int)")
        began = time.monotonic()
        copy(a, "there", numbered(live))
        report("COPY into a table that is there", live, began)


def report(what, count, began):
    took = time.monotonic() - began
    print(f"   {what}: {count} rows, {count / took:.0f} rows/s")


def batches(cql, insert, rows):
    """Unlogged batches of ten rows each, a hundred under way."""
    from cassandra.concurrent import execute_concurrent
    from cassandra.query import BatchStatement, BatchType

    def made():
        batch = None
        for number, row in enumerate(rows):
            if number % 10 == 0:
                if batch is not None:
                    yield batch, ()
                batch = BatchStatement(batch_type=BatchType.UNLOGGED)
            batch.add(insert, row)
        yield batch, ()

    for done, error in execute_concurrent(cql, made(), concurrency=100):
        assert done, error


def copy(connection, table, rows, columns="", form=""):
    """COPY FROM STDIN of rows."""
    with connection.cursor().copy(f"copy {table} {columns} from stdin {form}") as out:
        block = []
        for row in rows:
            block.append("\t".join("\\N" if v is None else str(v) for v in row))
            if len(block) == 2000:
                out.write("\n".join(block) + "\n")
                block = []
        if block:
            out.write("\n".join(block) + "\n")


def numbered(count, first=0):
    """Rows, in no order of their keys."""
    step = 7919
    return ((first + n * step % count, f"c{first + n * step % count}", n % 10, n)
            for n in range(count))


def lwts(connection):
    return connection.execute("select lwts from pg_stat_cluster_requests").fetchone()[0]


@contextlib.contextmanager
def few_lwts(connection, expect, what):
    """What is done meanwhile takes few lightweight transactions."""
    before = lwts(connection)
    yield
    spent = lwts(connection) - before
    expect(f"few lightweight transactions for {what}", spent < 300 and spent, spent)


def told(connection, work):
    """The SQLSTATE, detail and context that a transaction fails with; none: it commits."""
    try:
        with connection.transaction():
            work()
    except psycopg.Error as error:
        return error.sqlstate, error.diag.message_detail, error.diag.context
    return None


def loads(cql, a, b, expect):
    """All rows, at the commit and not before, with their indexes, for cqlsh too."""
    began = time.monotonic()
    with few_lwts(a, expect, "a load"), a.transaction():
        a.execute(TABLE.format("loaded"))
        a.execute("create index loaded_part on loaded (part)")
        copy(a, "loaded", numbered(ROWS))
        expect("in its transaction", a.execute("select count(*) from loaded").fetchone(), (ROWS,))
        expect("before the commit", sqlstate(b, "select count(*) from loaded"), "42P01")
    took = time.monotonic() - began
    print(f"   {ROWS} rows with two indexes: {ROWS / took:.0f} rows/s")
    whole = (ROWS, ROWS * (ROWS - 1) // 2, ROWS)
    sums = "select count(*), sum(id), count(distinct code) from loaded"
    expect("on the other gateway", b.execute(sums).fetchone(), whole)
    by_index = b.execute("select count(*) from loaded where part = 3").fetchone()
    expect("by an index", by_index, (ROWS // 10,))
    one = b.execute("select id from loaded where code = 'c77'").fetchone()
    expect("by a unique index", one, (77,))
    for sql in ("insert into loaded values (5, 'new', 1, 1)",
                "insert into loaded values (-1, 'c5', 1, 1)"):
        expect(sql, sqlstate(b, sql), "23505")
    b.execute("update loaded set amount = 5, code = 'moved' where id = 10")
    b.execute("delete from loaded where id = 11")
    found = b.execute("select id, code from loaded where id in (10, 11, 12)").fetchall()
    expect("changed afterwards", sorted(found), [(10, "moved"), (12, "c12")])
    native.settled([], "", lambda: len(list(native.live(cql, "public.loaded"))), ROWS - 1)
    counted = len(list(native.live(cql, "public.loaded", "pk")))
    expect("rows for other readers", counted, ROWS - 1)


def sqlstate(connection, sql):
    """The SQLSTATE that a statement fails with; a transaction it is in goes on."""
    failed = told(connection, lambda: connection.execute(sql))
    return failed and failed[0]


def filled(dsn, a, b, expect):
    """Indexes and keys of a table that has rows, and new types of its columns: what they fill is
    loaded too, seen whole or not at all, by an index that was not there by nobody."""
    with a.transaction():
        a.execute("create table heap (id int, code text, part int, amount int)")
        copy(a, "heap", numbered(FILLED))
    b.execute("insert into heap values (-1, 'late', 3, 0)")
    count = FILLED + 1
    older = psycopg.connect(dsn, autocommit=True)
    older.execute("begin isolation level repeatable read")
    older.execute("select 1 from heap limit 1")
    with few_lwts(a, expect, "indexes"):
        a.execute("create index heap_part on heap (part)")
        a.execute("alter table heap add unique (code)")
    by_index = "select count(*) from heap where part = 3"
    expect("by the index", b.execute(by_index).fetchone(), (FILLED // 10 + 1,))
    expect("by a snapshot before it", older.execute(by_index).fetchone(), (FILLED // 10 + 1,))
    older.execute("rollback")
    expect("held unique", sqlstate(b, "insert into heap values (-2, 'c77', 0, 0)"), "23505")
    older.execute("begin isolation level repeatable read")
    older.execute("select 1 from loaded limit 1")
    with few_lwts(a, expect, "rows"):
        a.execute("alter table heap add primary key (id)")
        a.execute("alter table heap alter column amount type bigint")
    expect("by a snapshot before the rows", sqlstate(older, "select count(*) from heap"), "40001")
    older.close()
    whole = "select count(*), count(distinct code), sum(id) from heap"
    wanted = (count, count, FILLED * (FILLED - 1) // 2 - 1)
    expect("rewritten", b.execute(whole).fetchone(), wanted)
    expect("by its key", b.execute("select code from heap where id = 77").fetchone(), ("c77",))
    expect("by the index then", b.execute(by_index).fetchone(), (FILLED // 10 + 1,))
    expect("held unique then", sqlstate(b, "insert into heap values (77, 'x', 0, 0)"), "23505")
    b.execute("update heap set part = 11, code = 'moved' where id = 77")
    moved = b.execute("select id from heap where part = 11").fetchall()
    expect("changed by the index", moved, [(77,)])
    failed = told(a, lambda: a.execute("alter table heap add unique (amount, part)"))
    expect("unique", failed, None)
    failed = told(a, lambda: a.execute("create unique index on heap (part)"))
    expect("not unique", failed and failed[0], "23505")
    try:
        with a.transaction():
            a.execute("delete from heap where id < 100")
            a.execute("savepoint one")
            a.execute("create unique index gone on heap (id, part)")
            a.execute("alter table heap drop constraint heap_pkey, add primary key (code)")
            expect("in its transaction", a.execute("select count(*), count(distinct id) from heap "
                                                   "where part < 100").fetchone(),
                   (count - 101, count - 101))
            raise InterruptedError
    except InterruptedError:
        pass
    expect("after a rollback", b.execute(whole).fetchone()[:2], (count, count))


def refusals(a, expect):
    """Constraints are those of any INSERT, and name the line."""
    def load(rows, table=TABLE):
        a.execute(table.format("refused"))
        copy(a, "refused", rows)

    cases = [
        ("a key twice, near", [(1, "a", 1, 1), (2, "b", 1, 1), (1, "c", 1, 1)],
         ("23505", "Key (id)=(1) already exists.", "COPY refused, line 3")),
        ("a unique value twice", [(1, "a", 1, 1), (2, "a", 1, 1)],
         ("23505", "Key (code)=(a) already exists.", "COPY refused, line 2")),
        ("a key twice, far", [*numbered(FAR), (77, "d", 1, 1)],
         ("23505", "Key (id)=(77) already exists.", f"COPY refused, line {FAR + 1}")),
        ("NULL", [(1, "a", None, 1)],
         ("23502", "Failing row contains (1, a, null, 1).",
          'COPY refused, line 1: "1\ta\t\\N\t1"')),
        ("CHECK", [(1, "a", 1, 1), (2, "b", 1, -5)],
         ("23514", "Failing row contains (2, b, 1, -5).", 'COPY refused, line 2: "2\tb\t1\t-5"')),
    ]
    for what, rows, wanted in cases:
        expect(what, told(a, lambda rows=rows: load(rows)), wanted)
    expect("nothing is left", sqlstate(a, "select * from refused"), "42P01")


def references(a, b, expect):
    """Foreign keys to a table of the same transaction, to one that is there, and to itself."""
    with a.transaction():
        a.execute("create table parents (id int primary key)")
        a.execute("create table children (id int primary key, parent int references parents, "
                  "elder int references children)")
        copy(a, "parents", ((n,) for n in range(500)))
        copy(a, "children", ((n, n % 500, n if n < 10 else n - 10) for n in range(5000)))
    counted = b.execute("select count(*) from children c join parents p on p.id = c.parent")
    expect("references", counted.fetchone(), (5000,))

    def orphan():
        a.execute("create table more (id int primary key, parent int references parents)")
        copy(a, "more", [(1, 1), (2, 500)])

    expect("an orphan", told(a, orphan),
           ("23503", 'Key (parent)=(500) is not present in table "parents".', None))
    expect("a parent stays", sqlstate(b, "delete from parents where id = 1"), "23503")


def truncated(dsn, a, b, expect):
    """TRUNCATE and COPY: the old rows until the commit, or for good; older snapshots are told."""
    with a.transaction():
        a.execute("create table turned (id int primary key, v int)")
        copy(a, "turned", ((n, 1) for n in range(1000)))
    try:
        with a.transaction():
            a.execute("truncate turned")
            copy(a, "turned", ((n, 2) for n in range(300)))
            raise InterruptedError
    except InterruptedError:
        pass
    sums = "select count(*), sum(v) from turned"
    expect("after a rollback", b.execute(sums).fetchone(), (1000, 1000))
    with b.transaction():
        b.execute("set transaction isolation level repeatable read")
        b.execute("select count(*) from parents")
        with a.transaction():
            a.execute("truncate turned")
            copy(a, "turned", ((n, 3) for n in range(200)))
        with psycopg.connect(dsn, autocommit=True) as other:
            expect("beside it", other.execute(sums).fetchone(), (200, 600))
        try:
            with b.transaction():
                b.execute(sums)
            expect("an older snapshot", "reads", "40001")
        except psycopg.errors.SerializationFailure:
            pass
    expect("after the commit", b.execute(sums).fetchone(), (200, 600))
    with a.transaction():
        a.execute("truncate turned")
        a.execute("savepoint s")
        copy(a, "turned", ((n, 4) for n in range(50)))
        a.execute("rollback to s")
        copy(a, "turned", ((n, 5) for n in range(7)))
    expect("after a savepoint", b.execute(sums).fetchone(), (7, 35))


def columnar(a, b, expect):
    """A table with a columnar view shows the same rows through both paths, on both gateways: loaded
    where it is made, changed, and loaded again where it is truncated."""
    look = "select /*+ READ_FROM_STORAGE({}[wide]) */ count(*), sum(id), sum(amount) from wide"

    def looked(connection, path):
        deadline = time.monotonic() + VIEW_SECONDS
        while True:
            try:
                return connection.execute(look.format(path)).fetchone()
            except psycopg.errors.ObjectNotInPrerequisiteState:
                # A view of the table's new rows is being made; without the hint rows are read.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def both(what, rows, total):
        for name, connection in (("one", a), ("the other", b)):
            for path in ("ROW", "COLUMNAR"):
                expect(f"{what}, {path} of {name} gateway", looked(connection, path),
                       (rows, rows * (rows - 1) // 2, total))

    def load(rows):
        copy(a, "wide", numbered(rows))
        # No view has them yet; whatever path is taken finds them.
        expect("in its transaction", a.execute("select count(*) from wide").fetchone(), (rows,))

    with a.transaction():
        a.execute(TABLE.format("wide") + " with (columnar = on)")
        load(ROWS)
    total = ROWS * (ROWS - 1) // 2
    both("loaded", ROWS, total)
    a.execute("refresh columnar view wide")
    both("after a refresh", ROWS, total)
    b.execute("update wide set amount = amount + 1 where part = 3 and id < 100")
    both("after changes", ROWS, total + 10)
    with a.transaction():
        a.execute("truncate wide")
        load(ROWS // 2)
    total = (ROWS // 2) * (ROWS // 2 - 1) // 2
    both("loaded again", ROWS // 2, total)
    b.execute("refresh columnar view wide")
    both("after the other's refresh", ROWS // 2, total)
    a.execute("drop table wide")


def statements(a, b, expect):
    """Statements of the loading transaction see and change what it loaded."""
    with a.transaction():
        a.execute("create table worked (id int primary key, v int)")
        copy(a, "worked", ((n, n) for n in range(100)))
        a.execute("update worked set v = -1 where id < 10")
        a.execute("delete from worked where id >= 90")
        copy(a, "worked", ((n, 7) for n in range(90, 95)))
        a.execute("declare c cursor for select count(*) from worked")
        a.execute("insert into worked select id + 1000, v from worked where id < 50")
        expect("a cursor from before", a.execute("fetch c").fetchone(), (95,))
        a.execute("close c")
        a.execute("insert into worked select id + 5000, v from generate_series(1, 50) id, "
                  "(select 2 as v) x")
        a.execute("insert into worked values (3, 3) on conflict (id) do update set v = 33")
        copied = a.execute("create table copied as select * from worked")
        expect("CREATE TABLE AS", copied.rowcount, 195)
        expect("a key of before", sqlstate(a, "insert into worked values (4, 4)"), "23505")
    for table in ("worked", "copied"):
        found = b.execute(f"select count(*), sum(v) from {table}").fetchone()
        # 10 × -1 (one of them 33 now), 10..89, 5 × 7; their doubles; 50 × 2.
        ones = sum(range(10, 90)) - 10 + 35 + 34
        doubles = sum(range(10, 50)) - 10
        expect(table, found, (195, ones + doubles + 100))


def progress(pair, a, b, expect):
    """pg_stat_progress_copy of the gateway that loads."""
    seen = []
    with a.transaction():
        a.execute("create table watched (id int primary key, v text)")
        oid = a.execute("select 'watched'::regclass::oid").fetchone()[0]
        with psycopg.connect(pair[0].dsn(), autocommit=True) as other, \
                a.cursor().copy("copy watched from stdin where id % 2 = 0") as out:
            for n in range(40):
                out.write("".join(f"{n * 500 + i}\t{'x' * 100}\n" for i in range(500)))
                if n in (20, 39):
                    seen.append(later(other, seen[-1][3] if seen else 0))
    kinds = {row[:3] for row in seen}
    expect("whose", kinds, {(oid, "COPY FROM", "PIPE")})
    expect("rises", 0 < seen[0][3] < seen[-1][3] <= 10_000, True)
    expect("WHERE", abs(seen[-1][3] - seen[-1][4]) <= 1, True)
    after = b.execute("select count(*) from pg_stat_progress_copy").fetchone()
    expect("and ends", after, (0,))


def later(connection, count):
    """The one row of pg_stat_progress_copy, as soon as it tells of more rows than so many."""
    deadline = time.monotonic() + 30
    while True:
        row, = connection.execute(
            "select relid, command, type, tuples_processed, tuples_excluded "
            "from pg_stat_progress_copy").fetchall()
        if row[3] > count or time.monotonic() > deadline:
            return row
        time.sleep(0.05)


def spaces(cql):
    rows = cql.execute("select table_name from system_schema.tables "
                       f"where keyspace_name = '{cql.keyspace}'")
    return sorted(r.table_name for r in rows)


def interrupted(cluster, cql, pair, expect):
    """A node that stands still only delays a load; a gateway that is killed takes it with it."""
    node = cluster.nodes[-1]

    def pause():
        time.sleep(1)
        node.signal(signal.SIGSTOP)
        time.sleep(6)
        node.signal(signal.SIGCONT)

    with psycopg.connect(pair[1].dsn(), autocommit=True) as b:
        thread = threading.Thread(target=pause)
        thread.start()
        slow(b, "paused", seconds=4)
        thread.join()
        counted = b.execute("select count(*) from paused").fetchone()
        expect("through a pause of a node", counted, (ROWS,))
        before = spaces(cql)
        try:
            with psycopg.connect(pair[0].dsn(), autocommit=True) as a:
                threading.Timer(2, lambda: pair.kill(0)).start()
                slow(a, "killed", seconds=5)
            expect("a killed gateway", "commits", "lost")
        except psycopg.OperationalError:
            pass
        expect("its table", sqlstate(b, "select * from killed"), "42P01")
        pair.restart(0)
        with psycopg.connect(pair[0].dsn(), autocommit=True) as a:
            slow(a, "killed", seconds=0)
        counted = b.execute("select count(*) from killed").fetchone()
        expect("run again", counted, (ROWS,))
        deadline = time.monotonic() + LEFTOVERS_SECONDS
        while len(spaces(cql)) > len(before) + 1 and time.monotonic() < deadline:
            time.sleep(1)
        left = spaces(cql)
        expect("CQL tables left", left if len(left) > len(before) + 1 else [], [])


def slow(connection, table, seconds):
    """A load that takes some time."""
    with connection.transaction():
        connection.execute(f"create table {table} (id int primary key, v text)")
        with connection.cursor().copy(f"copy {table} from stdin") as out:
            for n in range(20):
                rows = range(n * ROWS // 20, (n + 1) * ROWS // 20)
                out.write("".join(f"{i}\t{'x' * 300}\n" for i in rows))
                time.sleep(seconds / 20)
