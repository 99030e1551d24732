"""Input that nobody should send, to PostgreSQL and to Sluice: the same SQLSTATE from both, and a
session, or at least a server, that still serves.

What concerns Sluice alone lies elsewhere: a full disk and damaged view files in tests/it/columns.rs,
broken COPY data and a client gone within it in copy_binary.py, streams broken at random in
tests/it/fuzz_wire.rs, statements made at random in src/sql/bind/fuzz.rs.
"""

import socket
import struct
import sys

import psycopg

from copy_binary import check, connect
from servers import postgres, sluice

# How long a server may take to answer.
TIMEOUT_S = 60
INT8, FLOAT8, NUMERIC, BOOL, UUID, DATE, JSONB, INT4S = 20, 701, 1700, 16, 2950, 1082, 3802, 1007


def message(kind, body=b"", length=None):
    return kind + struct.pack("!I", len(body) + 4 if length is None else length) + body


class Raw:
    """A connection that speaks bytes."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S)
        self.user, self.database = server.user, server.database

    def startup(self):
        body = f"user\0{self.user}\0database\0{self.database}\0\0".encode()
        return self.ask(struct.pack("!II", len(body) + 8, 196608) + body)

    def take(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def ask(self, data):
        """SQLSTATEs of the errors up to ReadyForQuery, and whether the server hung up."""
        said = []
        try:
            self.socket.sendall(data)
            while True:
                kind, length = struct.unpack("!cI", self.take(5))
                body = self.take(length - 4)
                if kind == b"E":
                    fields = {f[:1]: f[1:] for f in body.split(b"\0") if f}
                    said.append(f"{fields[b'S'].decode()} {fields[b'C'].decode()}")
                elif kind == b"Z":
                    return [*said, f"ready {body.decode()}"]
        except (EOFError, ConnectionError):
            return [*said, "closed"]


def parse(sql, name=b"", types=()):
    oids = b"".join(struct.pack("!I", oid) for oid in types)
    return message(b"P", name + b"\0" + sql + b"\0" + struct.pack("!H", len(types)) + oids)


def bind(*values, formats=b"\0\0", results=b"\0\0"):
    body = b"\0\0" + formats + struct.pack("!H", len(values))
    for value in values:
        body += struct.pack("!i", len(value)) + value
    return message(b"B", body + results)


EXECUTE, SYNC = message(b"E", b"\0\0\0\0\0"), message(b"S")
TERMINATED = b"select 1\0"


def messages():
    """Streams after the startup."""
    run = lambda *parts: b"".join(parts) + EXECUTE + SYNC
    return {
        "an unknown message": message(b"!"),
        "a length of 2 GB": message(b"Q", TERMINATED, 0x7FFFFFFF),
        "a length of 4 GB": message(b"Q", TERMINATED, 0xFFFFFFFF),
        "a length of 3": message(b"Q", b"", 3),
        "a query without its zero": message(b"Q", b"select 1"),
        "a query with two zeros": message(b"Q", b"select 1\0select 2\0"),
        "a password nobody asked for": message(b"p", b"x\0"),
        "COPY data nobody asked for": message(b"d", b"x") + message(b"c") + message(b"Q", TERMINATED),
        "an empty query": message(b"Q", b"\0"),
        "invalid UTF-8 in a query": message(b"Q", b"select '\xff\xfe'\0"),
        "an overlong zero in a query": message(b"Q", b"select '\xc0\x80'\0"),
        "half a character": message(b"Q", b"select '\xe2\x82'\0"),
        "a surrogate": message(b"Q", b"select '\xed\xa0\x80'\0"),
        "invalid UTF-8 in Parse": run(parse(b"select '\xff'"), bind()),
        "invalid UTF-8 in a parameter": run(parse(b"select $1::text"), bind(b"\xff")),
        "a zero in a text parameter": run(parse(b"select $1::text"), bind(b"a\0b")),
        "a zero in a binary text": run(parse(b"select $1::text"), bind(b"a\0b", formats=b"\0\1\0\1")),
        "a statement that is not there": run(message(b"B", b"\0nope\0\0\0\0\0\0\0")),
        "a portal that is not there": message(b"E", b"nope\0\0\0\0\0") + SYNC,
        "too few parameters": run(parse(b"select $1::int, $2::int"), bind(b"1")),
        "too many parameters": run(parse(b"select $1::int"), bind(b"1", b"2")),
        "two formats for three": run(
            parse(b"select $1::int, $2::int, $3::int"),
            bind(b"1", b"2", b"3", formats=b"\0\2\0\0\0\0")),
        "a format of 7": run(parse(b"select $1::int"), bind(b"1", formats=b"\0\1\0\7")),
        "a result format of 7": run(parse(b"select 1"), bind(results=b"\0\1\0\7")),
        "two result formats for three": run(
            parse(b"select 1, 2, 3"), bind(results=b"\0\2\0\0\0\0")),
        "Bind cut short": run(parse(b"select 1"), message(b"B", b"\0\0\0\0\0\5")),
        "Bind with more than it says": run(
            parse(b"select 1"), message(b"B", b"\0\0\0\0\0\0\0\0zz")),
        "a parameter longer than Bind": run(
            parse(b"select $1::text"), message(b"B", b"\0\0\0\0\0\1\0\0\1\0x\0\0")),
        "a parameter of -2 bytes": run(
            parse(b"select $1::text"), message(b"B", b"\0\0\0\0\0\1\xff\xff\xff\xfe\0\0")),
        "Parse without its zero": message(b"P", b"s") + SYNC,
        "Parse with 60,000 types and none there": message(b"P", b"\0select 1\0\xea\x60") + SYNC,
        "a type that is not there": run(parse(b"select $1", types=[4242424]), bind(b"1")),
        "two statements in one Parse": run(parse(b"select 1; select 2"), bind()),
        "a statement named twice": parse(b"select 1", b"s") + parse(b"select 2", b"s") + SYNC,
        "Describe of a thing of kind X": message(b"D", b"Xs\0") + SYNC,
        "Close of a thing of kind X": message(b"C", b"Xs\0") + SYNC,
        "Describe that is empty": message(b"D") + SYNC,
        "Execute of -1 rows": run(parse(b"select 1"), bind(), message(b"E", b"\0\xff\xff\xff\xff")),
        "Sync with a body": message(b"S", b"zz"),
        "after an error, all is skipped": (
            parse(b"selec") + bind() + EXECUTE + message(b"D", b"Snope\0") + SYNC),
        "a function call of nothing": message(b"F", b"\0\0\0\0"),
    }


# Sluice says more, or what it lacks, by name.
BETTER = {
    "a type that is not there": ("ERROR XX000", "ERROR 42704"),
    "a function call of nothing": ("ERROR 42883", "ERROR 0A000"),
}


def alike(name, said):
    """Equal; or both hang up, and Sluice tells why, which PostgreSQL only logs."""
    theirs, mine = said
    if theirs[0] == "closed" and len(mine) > 1 and mine[0].startswith("FATAL 0"):
        mine = mine[1:]
    if name in BETTER and (theirs[0], mine[0]) == BETTER[name]:
        mine = [theirs[0], *mine[1:]]
    return theirs == mine


def startups():
    """Streams that should have begun with a startup message."""
    body = struct.pack("!I", 196608)
    of = lambda body: struct.pack("!I", len(body) + 4) + body
    return {
        "a startup of 2 GB": struct.pack("!II", 0x7FFFFFFF, 196608),
        "a startup of 4 bytes": struct.pack("!I", 4),
        "protocol 2.0": of(struct.pack("!I", 2 << 16) + b"user\0x\0\0"),
        "protocol 9.0": of(struct.pack("!I", 9 << 16) + b"user\0x\0\0"),
        "a startup without a user": of(body + b"database\0x\0\0"),
        "a startup without its zero": of(body + b"user\0x"),
        "a user without a name": of(body + b"user\0\0\0"),
        "a parameter that is not there": of(body + b"user\0%s\0nope\0" + b"1\0\0"),
        "an HTTP request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    }


def over_the_wire(pg, ours):
    same = []
    for name, data in messages().items():
        said = []
        for server in (pg, ours):
            raw = Raw(server)
            raw.startup()
            # What has no ReadyForQuery of its own gets that of the Sync that follows.
            said.append(raw.ask(data))
            raw.socket.close()
            said[-1].append("served" if serves(server) else "NOT SERVED")
        same.append(check(f"{name}: {', '.join(said[1])}", alike(name, said), *said))
    for name, data in startups().items():
        said = []
        for server in (pg, ours):
            raw = Raw(server)
            said.append(raw.ask(data.replace(b"%s", server.user.encode())))
            said[-1].append("served" if serves(server) else "NOT SERVED")
        same.append(check(f"{name}: {', '.join(said[1])}", alike(name, said), *said))
    return all(same)


def serves(server):
    with connect(server) as other:
        return other.execute("select 6 * 7").fetchone() == (42,)


def binary(pg, ours):
    """Binary parameters that are too short, too long, or nonsense."""
    same = []
    bodies = {
        "int8": (INT8, [b"", b"\0\0\0\1", b"\0" * 9]),
        "float8": (FLOAT8, [b"\0" * 4]),
        "bool": (BOOL, [b"", b"\2", b"\0\0"]),
        "uuid": (UUID, [b"x" * 15, b"x" * 17]),
        "date": (DATE, [b"\0", struct.pack("!i", 2**31 - 2)]),
        "numeric": (NUMERIC, [
            b"\0", struct.pack("!hhHh", 1, 0, 0, 0), struct.pack("!hhHhh", 1, 0, 0, 0, 12345),
            struct.pack("!hhHh", 0, 0, 0x1234, 0), struct.pack("!hhHhh", 1, 0, 0, -5, 1)]),
        "jsonb": (JSONB, [b"", b"\2{}", b"\1{", b"\1\xff"]),
        "int[]": (INT4S, [
            b"", struct.pack("!iii", 7, 0, 23), struct.pack("!iii", 1, 5, 23),
            struct.pack("!iiiii", 1, 0, 23, 2**31 - 1, 1), struct.pack("!iiiii", 1, 0, 25, 1, 1)]),
    }
    for type_name, (oid, values) in bodies.items():
        for value in values:
            said = []
            for connection in (pg, ours):
                result = connection.pgconn.exec_params(
                    f"select $1::{type_name}".encode(), [value], [oid], [1])
                state = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)
                said.append(state.decode() if state else f"{result.get_value(0, 0)}")
            shown = value.hex()[:40] or "no bytes"
            same.append(check(f"{type_name} of {shown}: {said[0]}", said[0] == said[1], *said))
    return all(same)


def nested(before, middle, after, count):
    return before * count + middle + after * count


# Statements, and what it is that they do. Where PostgreSQL's answer depends on its stack (54001) or
# on its memory, any answer of these is right.
STATEMENTS = {
    "int4 overflow": "select 2147483647 + 1",
    "int8 overflow": "select -9223372036854775808 - 1",
    "int2 overflow": "select 32767::int2 + 1::int2",
    "least int4 by -1": "select (-2147483648)::int4 / -1",
    "least int8 by -1": "select (-9223372036854775808)::int8 % -1, (-9223372036854775808)::int8 / -1",
    "abs of the least": "select abs((-2147483648)::int4)",
    "float8 overflow": "select 1e308::float8 * 10",
    "float8 underflow": "select 1e-308::float8 / 1e10 / 1e10",
    "float4 overflow": "select 1e39::float8::float4",
    "exp overflow": "select exp(1000::float8)",
    "numeric precision": "select 10::numeric(3,2)",
    "numeric overflow": "select 10::numeric ^ 200000",
    "numeric to int": "select 3e9::numeric::int4",
    "NaN to int": "select 'NaN'::float8::int4",
    "factorial": "select factorial(100000)",
    "date overflow": "select date '5874897-12-31' + 1",
    "date underflow": "select date '4713-01-01 BC' - 400",
    "timestamp overflow": "select timestamp '294276-12-31 23:59:59' + interval '1 year'",
    "timestamptz overflow": "select timestamptz '294277-01-01'",
    "interval overflow": "select interval '178000000 years' * 2",
    "time out of range": "select time '25:00'",
    "no such day": "select date '2023-02-29'",
    "make_date": "select make_date(2023, 13, 1)",
    "sum overflow": "select sum(x) from (values (9223372036854775807), (1::int8)) v(x) group by 1 = 1",
    "division by zero": "select 1 / 0",
    "modulo zero": "select 1 % 0",
    "numeric by zero": "select 1.5 / 0",
    "float by zero": "select 1::float8 / 0",
    "interval by zero": "select interval '1 day' / 0",
    "div by zero in a row": "select 10 / (x - 500) from generate_series(1, 1000) x",
    "square root of -1": "select sqrt(-1)",
    "logarithm of 0": "select ln(0)",
    "substring of -1": "select substring('abc' from 1 for -1)",
    "chr of 0": "select chr(0)",
    "chr of too much": "select chr(1114112)",
    "a bad regular expression": "select 'a' ~ '('",
    "a bad escape": "select 'a' like 'a\\'",
    "repeat to 2 GB": "select length(repeat('x', 2000000000))",
    "parentheses": "select " + nested("(", "1", ")", 5000),
    "parentheses, many": "select " + nested("(", "1", ")", 200000),
    "not not": "select " + "not " * 100000 + "true",
    "minus minus": "select " + "- " * 100000 + "1",
    "a long sum": "select " + " + ".join(["1"] * 50000),
    "subqueries": nested("select * from (", "select 1 as one", ") x", 5000),
    "CASE": "select " + nested("case when true then ", "1", " end", 20000),
    "joins": "select 1 from " + nested("(", "(select 1) x", ") cross join (select 1) y", 5000),
    "function calls": "select " + nested("abs(", "1", ")", 20000),
    "array text": "select '" + nested("{", "", "}", 10000) + "'::int[]",
    "arrays": "select " + nested("array[", "1", "]", 10000),
    "json": "select '" + nested("[", "", "]", 200000) + "'::json",
    "jsonb": "select '" + nested("[", "", "]", 200000) + "'::jsonb",
    "an identifier of 10,000": f"select {'x' * 10000}",
    "an unterminated string": "select 'x",
    "an unterminated comment": "select 1 /* x",
    "nested comments": "select 1 " + nested("/*", "x", "*/", 50000),
    "a number of 100,000 digits": f"select length(({'9' * 100000})::text)",
    "1,665 columns": "select " + ", ".join(["1"] * 1665),
    "a row of 1,665": "select row(" + ", ".join(["1"] * 1665) + ")",
    "101 arguments": "select concat(" + ", ".join(["1"] * 101) + ")",
    "parameter 65,536": "select $65536",
    "parameter 0": "select $0",
    "a key twice in a statement": "insert into bad values (1, 'a'), (1, 'b')",
    "a key twice, by SELECT": "insert into bad select 1, x::text from generate_series(1, 3) x",
    "a row changed twice": "insert into bad values (1, 'a'), (1, 'b') "
                           "on conflict (k) do update set v = excluded.v",
    "a key twice, nothing done": "insert into bad values (1, 'a'), (1, 'b') on conflict do nothing",
    "a unique value twice": "insert into bad values (2, 'a')",
    "keys that meet": "update bad set k = 7",
    "a NULL key": "insert into bad values (null, 'a')",
    "a long key": "insert into bad_key values (repeat('z', 30000000))",
    "LIMIT -1": "select 1 limit -1",
    "OFFSET beyond": "select 1 offset 9223372036854775807",
    "generate_series by 0": "select * from generate_series(1, 2, 0)",
    "LIMIT of text": "select 1 limit 'x'",
}

# Stack and memory: either answers, or refuses with one of these.
LIMITS = {"54001", "54000", "53200", "54P01"}


def answer(connection, sql, parameters=None):
    try:
        cursor = connection.execute(sql, parameters)
        return str(cursor.fetchall() if cursor.description else cursor.statusmessage)
    except psycopg.Error as error:
        return error.sqlstate or repr(error)


def statements(pg, ours):
    same = []
    for connection in (pg, ours):
        connection.execute("create table bad (k int primary key, v text unique)")
        connection.execute("create table bad_key (k text primary key)")
    for name, sql in STATEMENTS.items():
        said = [answer(connection, sql) for connection in (pg, ours)]
        ok = said[0] == said[1] or bool({said[0], said[1]} & LIMITS)
        told = said[0] if said[0] == said[1] else f"{said[0][:40]} | {said[1][:40]}"
        same.append(check(f"{name}: {told[:80]}", ok, *(one[:200] for one in said)))
        same.append(ours.execute("select 6 * 7").fetchone() == (42,) or check(name, False))
    many = range(1, 10_001)
    wide = [
        ("10,000 parameters in a sum", "select " + " + ".join(["%s::int"] * len(many)), list(many)),
        ("60,000 parameters in a list",
         "select 5 in (" + ", ".join(["%s::int"] * 60_000) + ")", list(range(60_000))),
        ("10,000 rows of parameters",
         "insert into bad values " + ", ".join(["(%s, %s)"] * len(many)),
         [value for n in many for value in (n + 10, str(n))]),
        ("70,000 parameters", "select " + ", ".join(["%s"] * 70_000), list(range(70_000))),
    ]
    for name, sql, parameters in wide:
        said = [answer(connection, sql, parameters) for connection in (pg, ours)]
        ok = said[0] == said[1] or bool({said[0], said[1]} & LIMITS)
        same.append(check(f"{name}: {said[0][:80]}", ok, *(one[:200] for one in said)))
        if said[0].startswith("Operational"):
            break
    return all(same)


def main():
    with postgres() as pg, sluice() as ours:
        with connect(pg) as theirs, connect(ours) as mine:
            ok = [statements(theirs, mine), binary(theirs, mine)]
        ok.append(over_the_wire(pg, ours))
    sys.exit(0 if all(ok) else 1)


if __name__ == "__main__":
    main()
