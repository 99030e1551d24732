"""Rows, keys and transactions that are larger than the cluster takes: refused by a clear error,
with nothing of their transaction left; and those just below work, on every gateway."""

import psycopg

from gateways import expecting

MIB = 1 << 20
# Larger than a row may be, than a message of Cassandra, than a key.
TOO_LARGE = [7 * MIB, 16_000_000, 40 * MIB]
KEY = 70_000


def run(pair):
    """What went wrong."""
    wrong = []
    expect = expecting(wrong)

    with psycopg.connect(pair[0].dsn(), autocommit=True) as a, \
            psycopg.connect(pair[1].dsn(), autocommit=True) as b:
        a.execute("create table big (id int primary key, v bytea, n int)")
        a.execute("create table small (id int primary key, n int)")
        a.execute("create table lines (p int, id int, v bytea, primary key (p, id))")
        fits(a, b, expect)
        refused(a, b, expect)
        keys(a, b, expect)
        partition(a, b, expect)
        # All goes on as before.
        a.execute("insert into small values (99, 1)")
        expect("afterwards", b.execute("select n from small where id = 99").fetchone(), (1,))
    return wrong


def told(connection, sql, *parameters):
    """The SQLSTATE that a statement ends with; none: it succeeds."""
    try:
        connection.execute(sql, parameters)
    except psycopg.Error as error:
        return error.sqlstate or f"lost: {error}"
    return None


def fits(a, b, expect):
    """Rows of several MiB are written, changed, and read by the other gateway."""
    for n, size in enumerate((MIB, 3 * MIB, 5 * MIB + MIB // 2)):
        value = bytes([n + 1]) * size
        expect(f"INSERT of {size} bytes", told(a, "insert into big values (%s, %s, 0)", n, value), None)
        with b.transaction():
            b.execute("update big set n = 1, v = v || 'x'::bytea where id = %s", (n,))
            b.execute("insert into small values (%s, 0)", (n,))
        row = a.execute("select length(v), n, v = %s || 'x'::bytea from big where id = %s", (value, n))
        expect(f"a row of {size} bytes", row.fetchone(), (size + 1, 1, True))


def refused(a, b, expect):
    """54000, alone and in a transaction, of which nothing is left."""
    for n, size in enumerate(TOO_LARGE, 100):
        value = b"x" * size
        expect(f"INSERT of {size} bytes", told(a, "insert into big values (%s, %s)", n, value), "54000")
        code = None
        try:
            with a.transaction():
                a.execute("insert into small values (%s, 0)", (n,))
                a.execute("insert into big values (%s, %s)", (n, value))
        except psycopg.Error as error:
            code = error.sqlstate
        expect(f"{size} bytes in a transaction", code, "54000")
        code = told(a, "update big set v = %s where id = 0", value)
        expect(f"UPDATE to {size} bytes", code, "54000")
    for c in (a, b):
        left = c.execute("select count(*) from big where id >= 100").fetchone()[0]
        left += c.execute("select count(*) from small where id >= 100").fetchone()[0]
        expect("rows of what was refused", left, 0)
        length = c.execute("select length(v) from big where id = 0").fetchone()
        expect("the row that was to grow", length, (MIB + 1,))


def keys(a, b, expect):
    """Keys have limits too: of a partition, within one, of an index."""
    key = "k" * KEY
    a.execute("create table by_text (t text primary key)")
    a.execute("create table within (p int, t text, primary key (p, t))")
    a.execute("create table indexed (id int primary key, t text)")
    a.execute("create index on indexed (t)")
    for sql in ("insert into by_text values (%s)", "insert into within values (1, %s)",
                "insert into indexed values (1, %s)"):
        expect(sql, told(a, sql, key), "54000")
        expect(f"{sql}, a short one", told(b, sql, "short"), None)
    for table in ("by_text", "within", "indexed"):
        count = b.execute(f"select count(*) from {table}").fetchone()[0]
        expect(f"rows of {table}", count, 1)


def partition(a, b, expect):
    """One transaction with more in a partition than one batch takes, and one that has too much."""
    rows = [(1, n, bytes([n % 256]) * 200_000) for n in range(60)]
    with a.transaction():
        a.cursor().executemany("insert into lines values (%s, %s, %s)", rows)
    found = b.execute("select count(*), sum(length(v)) from lines where p = 1").fetchone()
    expect("12 MB in a partition", found, (60, 60 * 200_000))
    b.execute("update lines set v = v || 'y'::bytea where p = 1")
    found = a.execute("select sum(length(v)) from lines where p = 1").fetchone()
    expect("all of it changed", found, (60 * 200_001,))
