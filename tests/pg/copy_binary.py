"""COPY as drivers and dumps use it, beside PostgreSQL.

- every type's rows in binary: the same bytes come out of both, and each takes the other's;
- broken binary data: the same error from both;
- a client gone in the midst of its data: nothing of it is there, and the server serves.
"""

import os
import socket
import struct
import sys
import time

import psycopg

from servers import postgres, sluice

COLUMNS = """
    id int primary key, i2 smallint, i8 bigint, f4 real, f8 float8, n numeric, nn numeric(12,3),
    t text, v varchar(9), c char(5), b boolean, d date, tm time, ts timestamp, tz timestamptz,
    iv interval, u uuid, y bytea, j json, jb jsonb, ia int[], ta text[], na numeric[]
"""
ROWS = """
    (1, 1, 1, 1.5, -2.25, 1234567890.0123456789, 1.5, 'text', 'var', 'ch', true, '2024-02-29',
     '12:34:56.789', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56+02', '1 mon 2 days 03:04:05.6',
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00ff', '{"a" : 1}', '{"b":[1,2.50]}',
     '{1,NULL,3}', '{"a b",NULL,"\\""}', '{1.50,-7}'),
    (2, -32768, 9223372036854775807, 'NaN', 'Infinity', 'NaN', -999999999.999, '', '', '', false,
     'infinity', '24:00', '-infinity', 'infinity', '-1 year', null, '', '[]', '"x"', '{}', '{}',
     '{}'),
    (3, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
     null, null, null, null, null, null, null),
    (4, 0, 0, 0, '-0', 1e100, 0.001, 'ä€😀', 'äöü', 'é', null, '0044-03-15 BC', '00:00',
     '4713-01-01 BC', '2000-01-01 00:00+00', '0', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'abc',
     'null', 'null', '{{1,2},{3,4}}', '{null}', '{1e-20,NaN}')
"""
HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
END = struct.pack("!h", -1)


def connect(server):
    return psycopg.connect(server.dsn(), autocommit=True)


def messages(connection, what, options="format binary"):
    with connection.cursor().copy(f"copy {what} to stdout ({options})") as copy:
        return [bytes(part) for part in copy]


def out(connection, what):
    return b"".join(messages(connection, what))


def put(connection, what, data):
    """None, or the error's code and message."""
    try:
        with connection.cursor().copy(f"copy {what} from stdin (format binary)") as copy:
            for at in range(0, len(data), 7):
                copy.write(data[at:at + 7])
    except psycopg.Error as error:
        return error.sqlstate, error.diag.message_primary, error.diag.context
    return None


def check(name, ok, *shown):
    print(f"{'ok     ' if ok else 'DIFFERS'} {name}")
    for one in shown if not ok else ():
        print("   ", one)
    return ok


def every_type(pg, ours):
    same = []
    # PostgreSQL's own subtlety, which this table leaves out: arrays of several dimensions.
    rows = ROWS.replace("{{1,2},{3,4}}", "{4}")
    for connection in (pg, ours):
        connection.execute(f"create table every ({COLUMNS})")
        connection.execute(f"create table again ({COLUMNS})")
        connection.execute(f"insert into every values {rows}")
    theirs, mine = (out(c, "(select * from every order by id)") for c in (pg, ours))
    same.append(check(f"{len(theirs)} bytes out", theirs == mine, theirs, mine))
    same.append(check("PostgreSQL's into Sluice", put(ours, "again", theirs) is None))
    same.append(check("Sluice's into PostgreSQL", put(pg, "again", mine) is None))
    back = [out(c, "(select * from again order by id)") for c in (pg, ours)]
    same.append(check("and out again", back == [theirs, theirs], *back))
    some = "(select jb, id, t from every where id <> 3 order by id desc)"
    same.append(check("a query's rows", out(pg, some) == out(ours, some)))
    for options in ("format binary", "format text", "format csv, header", "format text, header"):
        both = [messages(c, some, options) for c in (pg, ours)]
        same.append(check(f"a message for each row, {options}", both[0] == both[1], *both))
    return all(same)


def row(*fields):
    data = struct.pack("!h", len(fields))
    for field in fields:
        data += struct.pack("!i", -1) if field is None else struct.pack("!i", len(field)) + field
    return data


def broken(pg, ours):
    four, eight = struct.pack("!i", 7), struct.pack("!q", 7)
    cases = {
        "no signature": b"PGCOPX\n\xff\r\n\0" + struct.pack("!ii", 0, 0) + END,
        "half a header": HEADER[:13],
        "unknown critical flag": HEADER[:11] + struct.pack("!ii", 1 << 20, 0) + END,
        "too few fields": HEADER + row(four) + END,
        "too many fields": HEADER + row(four, b"x", b"y") + END,
        "an integer of eight bytes": HEADER + row(eight, b"x") + END,
        "an integer of no bytes": HEADER + row(b"", b"x") + END,
        "text that is not UTF-8": HEADER + row(four, b"\xff\xfe") + END,
        "a zero byte in text": HEADER + row(four, b"a\0b") + END,
        "a field of 2 GB": HEADER + struct.pack("!hii", 2, 4, 7) + struct.pack("!i", 2**31 - 1),
        "a field of -2 bytes": HEADER + struct.pack("!hi", 2, -2) + END,
        "ends within a row": HEADER + row(four, b"x")[:9],
        "no end": HEADER + row(four, b"x"),
        "more after the end": HEADER + row(four, b"x") + END + b"zz",
        "NULL key": HEADER + row(None, b"x") + END,
        "the same key twice": HEADER + row(four, b"x") + row(four, b"y") + END,
    }
    for connection in (pg, ours):
        connection.execute("create table small (id int primary key, t text)")
    same = []
    for name, data in cases.items():
        theirs, mine = (put(c, "small", data) for c in (pg, ours))
        same.append(check(f"{name}: {theirs and theirs[0]}", theirs == mine, theirs, mine))
        counts = [c.execute("select count(*) from small").fetchone() for c in (pg, ours)]
        same.append(counts[0] == counts[1] or check(f"{name}: rows", False, *counts))
        for connection in (pg, ours):
            connection.execute("truncate small")
    return all(same)


def gone(server):
    """Its socket closes after 3 MB of rows, outside a block and in one."""
    watcher = connect(server)
    watcher.execute("create table left_over (id int primary key, t text)")
    same = []
    block = ["begin", "insert into left_over values (-1, 'x')"]
    for name, before in (("alone", []), ("in a block", block)):
        client = connect(server)
        for statement in before:
            client.execute(statement)
        backend = client.info.backend_pid
        client.pgconn.exec_(b"copy left_over from stdin")
        for start in range(0, 30_000, 1000):
            lines = (f"{n}\t{'x' * 90}\n" for n in range(start, start + 1000))
            client.pgconn.put_copy_data("".join(lines).encode())
        client.pgconn.flush()
        # No farewell.
        with socket.socket(fileno=os.dup(client.pgconn.socket)) as wire:
            wire.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + 20
        query = f"select count(*) from pg_stat_activity where pid = {backend}"
        while watcher.execute(query).fetchone()[0] and time.monotonic() < deadline:
            time.sleep(0.05)
        same.append(check(f"gone {name}: its session ended", time.monotonic() < deadline))
        rows = watcher.execute("select count(*) from left_over").fetchone()[0]
        same.append(check(f"gone {name}: nothing is left", rows == 0, rows))
        # Its locks too.
        watcher.execute("set lock_timeout = '2s'")
        watcher.execute("insert into left_over values (5, 'mine')")
        watcher.execute("truncate left_over")
        same.append(check(f"gone {name}: others go on", True))
    return all(same)


def main():
    with postgres() as pg, sluice() as ours:
        with connect(pg) as theirs, connect(ours) as mine:
            ok = [every_type(theirs, mine), broken(theirs, mine)]
        ok.append(gone(ours))
    sys.exit(0 if all(ok) else 1)


if __name__ == "__main__":
    main()
