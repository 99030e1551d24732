"""Sequences of several gateways: no value twice, and a setval that all of them follow at once."""

import threading

import psycopg

from gateways import expecting, finish

VALUES = 300


def run(pair):
    """What went wrong."""
    wrong = []
    expect = expecting(wrong)
    with psycopg.connect(pair[0].dsn(), autocommit=True) as a, \
            psycopg.connect(pair[1].dsn(), autocommit=True) as b:
        a.execute("create sequence s")
        a.execute("create table numbered (id int primary key default nextval('s'), v int)")
        expect("blocks", one(a, "select nextval('s')") == one(b, "select nextval('s')"), False)
        # Both have values at hand now.
        followed(a, b, expect)
        followed(b, a, expect)
        within_transactions(a, b, expect)
        twice = shared(pair)
        expect("values given twice", twice, [])
    return wrong


def one(c, sql):
    return c.execute(sql).fetchone()[0]


def next_of(got, last):
    """The value itself, but the next one where one was left out: a statement that learns of a change
    of the schema in its midst is run again, and takes another value."""
    return last + 1 if got == last + 2 else got


def followed(a, b, expect):
    """`b` goes on where `a` has set it, by whatever statement takes a value."""
    for n, sql in enumerate((
            "select nextval('s')",
            "insert into numbered (v) values (1) returning id",
            "insert into numbered (v) select 1 returning id",
            "select nextval('s') from generate_series(1, 1)",
            "update numbered set v = nextval('s') where id = (select min(id) from numbered) "
            "returning v")):
        start = one(a, "select max(id) + 5000 from (select id from numbered union select 0) x")
        one(b, sql)
        a.execute("select setval('s', %s)", (start,))
        expect(f"after setval: {sql}", next_of(one(b, sql), start), start + 1)
        b.execute("begin")
        one(b, sql)
        a.execute("select setval('s', %s)", (start + 1000,))
        expect(f"in a block, after setval: {sql}", next_of(one(b, sql), start + 1000),
               start + 1001)
        b.execute("commit")
    # Backwards, to a value that comes next.
    a.execute("select setval('s', 77, false)")
    expect("set back", one(b, "select nextval('s')"), 77)
    expect("last_value", b.execute("select last_value, is_called from s").fetchone(), (77, True))
    a.execute("select setval('s', 78, false)")
    expect("last_value of another's", b.execute("select last_value, is_called from s").fetchone(),
           (78, False))
    # To where the block at hand ends.
    stored = one(a, "select setval('s', 200)") + 32
    expect("a block", one(b, "select nextval('s')"), 201)
    a.execute("select setval('s', %s)", (stored,))
    expect("set to the end of a block", one(b, "select nextval('s')"), stored + 1)
    # By rows of a table, the way a dump or a framework does.
    a.execute("insert into numbered (id) select max(id) + 100000 from numbered")
    top = one(a, "select max(id) from numbered")
    expect("setval of a row", one(a, f"select setval('s', id) from numbered where id = {top}"), top)
    inserted = one(b, "insert into numbered (v) values (1) returning id")
    expect("after setval of a row", next_of(inserted, top), top + 1)
    a.execute("select setval('s', max(id)) from numbered")


def within_transactions(a, b, expect):
    """Sequences made and altered by the transaction that sets them; a rollback takes no setval
    back."""
    a.execute("begin")
    a.execute("create sequence fresh")
    expect("setval of a new one", one(a, "select setval('fresh', 40)"), 40)
    a.execute("commit")
    expect("a new one", one(b, "select nextval('fresh')"), 41)
    a.execute("begin")
    a.execute("alter sequence fresh increment 10")
    a.execute("select setval('fresh', 100)")
    a.execute("commit")
    expect("an altered one", one(b, "select nextval('fresh')"), 110)
    a.execute("begin")
    a.execute("select setval('fresh', 1000)")
    a.execute("rollback")
    expect("after a rollback", one(b, "select nextval('fresh')"), 1010)


def shared(pair):
    """Values that two clients were given."""
    values, lock, trouble = [], threading.Lock(), []

    def take(server):
        try:
            with psycopg.connect(server.dsn(), autocommit=True) as c:
                for _ in range(VALUES // 4):
                    value = one(c, "select nextval('s')")
                    with lock:
                        values.append(value)
        except psycopg.Error as error:
            trouble.append(str(error))

    threads = [threading.Thread(target=take, args=(pair[n % 2],)) for n in range(4)]
    for thread in threads:
        thread.start()
    finish(threads, 60)
    return sorted({v for v in values if values.count(v) > 1}) + trouble
