"""Statements that write without locks: those alone in their transaction are run again after a
conflict, as if they had waited; blocks that asked for it are refused at COMMIT."""

import threading
import time

import psycopg

from gateways import expecting, finish

CLIENTS = 4
EACH = 25


def run(pair):
    """What went wrong."""
    wrong = []
    expect = expecting(wrong)

    with psycopg.connect(pair[0].dsn(), autocommit=True) as a:
        a.execute("create table counters (id int primary key, n int not null)")
        a.execute("create table names (id int primary key, name text unique)")
        a.execute("create table owners (id int primary key)")
        a.execute("create table pets (id int primary key, owner int references owners)")
        a.execute("insert into counters values (1, 0)")
        after_ddl(pair, a, expect)
        alone(pair, a, expect, wrong)
        waits(pair, a, expect)
        blocks(pair, a, expect)
        references(pair, a, expect, wrong)
    return wrong


def after_ddl(pair, a, expect):
    """A statement that learns of a change of the schema as it runs writes once all the same."""
    with psycopg.connect(pair[1].dsn(), autocommit=True) as b:
        for n in range(3):
            a.execute(f"create table keyless{n} (x int)")
            a.execute(f"insert into keyless{n} values (1), (2)")
            b.execute(f"insert into keyless{n} values (3)")
            b.execute(f"alter table keyless{n} add column y int default 7")
            a.execute(f"insert into keyless{n} values (4)")
            rows = a.execute(f"select x, y from keyless{n} order by x").fetchall()
            expect("after DDL", rows, [(1, 7), (2, 7), (3, 7), (4, 7)])


def everybody(pair, wrong, work):
    """Runs work(connection, number) in several sessions of both gateways."""
    def session(number):
        with psycopg.connect(pair[number % 2].dsn(), autocommit=True) as c:
            try:
                work(c, number)
            except psycopg.Error as error:
                wrong.append(f"session {number}: {error.sqlstate} {error}")

    threads = [threading.Thread(target=session, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    finish(threads, 180)


def alone(pair, a, expect, wrong):
    """Nothing gets lost, and nobody is told of a conflict, whichever protocol is used."""
    def count(c, number):
        for _ in range(EACH):
            # With a parameter psycopg speaks the extended protocol.
            c.execute("update counters set n = n + %s where id = 1", (1,))
            c.execute("update counters set n = n + 1 where id = 1")

    everybody(pair, wrong, count)
    expect("counted", a.execute("select n from counters").fetchone(), (CLIENTS * EACH * 2,))
    told = []

    def insert(c, number):
        for n in range(EACH):
            try:
                c.execute("insert into names values (%s, %s)", (n * CLIENTS + number, f"n{n}"))
                told.append(n)
            except psycopg.errors.UniqueViolation as error:
                if error.diag.constraint_name != "names_name_key":
                    wrong.append(f"names {error.diag.constraint_name}")

    everybody(pair, wrong, insert)
    expect("inserted once each", sorted(told), list(range(EACH)))
    rows = a.execute("select count(*), count(distinct name) from names").fetchone()
    expect("names", rows, (EACH, EACH))
    done = a.execute("insert into names values (-1, 'n1') on conflict (name) do update "
                     "set id = -1 returning id").fetchall()
    expect("ON CONFLICT", done, [(-1,)])


def waits(pair, a, expect):
    """Who meets a lock waits for it as anybody does, and can be cancelled; what was cancelled does
    not happen later."""
    for gateway in pair:
        with psycopg.connect(gateway.dsn(), autocommit=True) as b:
            a.execute("begin")
            a.execute("update counters set n = 7 where id = 1")
            a.execute("insert into counters values (2, 0)")
            b.execute("set statement_timeout = '700ms'")
            for sql in ("update counters set n = 8 where id = 1", "insert into counters values (2, 1)"):
                began = time.monotonic()
                try:
                    b.execute(sql)
                    expect(sql, "did not wait", "57014")
                except psycopg.Error as error:
                    expect(sql, error.sqlstate, "57014")
                expect("soon", time.monotonic() - began < 5, True)
            a.execute("delete from counters where id = 2")
            a.execute("commit")
            b.execute("reset statement_timeout")
            time.sleep(0.5)
            rows = a.execute("select id, n from counters").fetchall()
            expect("what was cancelled", rows, [(1, 7)])
            a.execute("begin")
            a.execute("update counters set n = 9 where id = 1")
            waiting = threading.Thread(
                target=b.execute, args=("update counters set n = n + 1 where id = 1",))
            waiting.start()
            time.sleep(0.5)
            a.execute("commit")
            finish([waiting], 60)
            expect("after the wait", a.execute("select n from counters").fetchone(), (10,))


def blocks(pair, a, expect):
    """sluice.lock_mode = optimistic"""
    with psycopg.connect(pair[1].dsn(), autocommit=True) as b:
        b.execute("set sluice.lock_mode = optimistic")
        b.execute("begin")
        b.execute("update counters set n = -1 where id = 1")
        # Nobody waits for it.
        a.execute("set lock_timeout = '2s'")
        a.execute("update counters set n = 0 where id = 1")
        a.execute("reset lock_timeout")
        try:
            b.execute("commit")
            expect("a conflict", "committed", "40001")
        except psycopg.Error as error:
            expect("a conflict", error.sqlstate, "40001")
        b.execute("begin")
        b.execute("update counters set n = 5 where id = 1")
        b.execute("commit")
    expect("without a conflict", a.execute("select n from counters").fetchone(), (5,))


def references(pair, a, expect, wrong):
    """No pet without its owner, whoever comes first."""
    a.execute("insert into owners select x from generate_series(0, %s) x", (EACH,))

    def work(c, number):
        for n in range(EACH):
            try:
                if number < 2:
                    c.execute("insert into pets values (%s, %s)", (n * CLIENTS + number, n))
                else:
                    c.execute("delete from owners where id = %s", (n,))
            except psycopg.errors.ForeignKeyViolation:
                pass

    everybody(pair, wrong, work)
    orphans = a.execute("select count(*) from pets p where not exists "
                        "(select from owners o where o.id = p.owner)").fetchone()
    expect("orphans", orphans, (0,))
