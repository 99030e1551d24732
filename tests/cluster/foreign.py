"""Foreign tables: what a CQL driver wrote is read through SQL, and the other way round."""

import datetime
import decimal
import ipaddress
import json
import threading
import uuid

import psycopg

from gateways import finish

KEYSPACE = "shop"
UTC = datetime.timezone.utc
MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 45, 123000, tzinfo=UTC)
RANDOM = uuid.UUID("6b3e2b3c-1b1a-4c1e-9d1e-0f1e2d3c4b5a")
TIMED = uuid.UUID("58e0a7d7-eebc-11d8-9669-0800200c9a66")

# CQL type, what the driver is given, what SQL's text is, and its type.
SCALARS = [
    ("ascii", "plain", "plain", "text"),
    ("text", "žluťoučký {\"k\": 1}", "žluťoučký {\"k\": 1}", "text"),
    ("varchar", "", "", "text"),
    ("tinyint", -128, "-128", "smallint"),
    ("smallint", -32768, "-32768", "smallint"),
    ("int", 2**31 - 1, "2147483647", "integer"),
    ("bigint", -(2**63), "-9223372036854775808", "bigint"),
    ("varint", -(2**90) - 1, str(-(2**90) - 1), "numeric"),
    ("decimal", decimal.Decimal("-12345678901234567890.001200"),
     "-12345678901234567890.001200", "numeric"),
    ("float", 1.5, "1.5", "real"),
    ("double", 0.1, "0.1", "double precision"),
    ("boolean", True, "t", "boolean"),
    ("blob", b"\x00\xff", "\\x00ff", "bytea"),
    ("uuid", RANDOM, str(RANDOM), "uuid"),
    ("timeuuid", TIMED, str(TIMED), "uuid"),
    ("timestamp", MOMENT.replace(tzinfo=None), "2024-02-29 12:30:45.123+00",
     "timestamp(3) with time zone"),
    ("date", datetime.date(1969, 7, 20), "1969-07-20", "date"),
    ("time", datetime.time(23, 59, 59, 999999), "23:59:59.999999", "time without time zone"),
    ("inet", "2001:db8::1", "2001:db8::1", "text"),
]
NESTED = [
    ("list<int>", [3, 1, 2], "{3,1,2}", "integer[]"),
    ("set<text>", {"b", "a b"}, "{\"a b\",b}", "text[]"),
    ("list<timestamp>", [MOMENT.replace(tzinfo=None)], "{\"2024-02-29 12:30:45.123+00\"}",
     "timestamp(3) with time zone[]"),
    ("map<text, int>", {"one": 1, "": 0}, "{\"\": 0, \"one\": 1}", "jsonb"),
    ("map<int, frozen<list<boolean>>>", {1: [True, False]}, "{\"1\": [true, false]}", "jsonb"),
    ("tuple<int, text, double>", (1, None, 2.5), "[1, null, 2.5]", "jsonb"),
    ("frozen<set<frozen<list<int>>>>", {(1, 2)}, "[[1, 2]]", "jsonb"),
    ("vector<float, 3>", [1.0, -2.5, 0.0], "{1,-2.5,0}", "real[]"),
    ("vector<text, 2>", ["a", ""], "{a,\"\"}", "text[]"),
    ("list<date>", [datetime.date(2020, 1, 2)], "{2020-01-02}", "date[]"),
]


class Checks:
    """What went wrong so far."""

    def __init__(self):
        self.wrong = []

    def same(self, what, got, wanted):
        if got != wanted:
            self.wrong.append(f"{what}: {got!r}, not {wanted!r}")

    def refused(self, connection, sql, code, word=""):
        try:
            connection.execute(sql)
        except psycopg.Error as error:
            if error.sqlstate != code or word not in str(error):
                self.wrong.append(f"{sql}: {error.sqlstate} {error}, not {code}")
        else:
            self.wrong.append(f"{sql}: done, not {code}")


def plan(connection, sql):
    lines = connection.execute("explain (costs off) " + sql).fetchall()
    return [line.strip() for (line,) in lines]


def cql_of(connection, sql):
    return [line[5:] for line in plan(connection, sql) if line.startswith("CQL: ")]


def run(cluster, pair):
    """All of it, on two gateways."""
    from cassandra.cluster import Cluster

    checks = Checks()
    host, port = cluster.contact_points().split(",")[0].split(":")
    driver = Cluster([host], port=int(port))
    try:
        session = driver.connect()
        session.execute(
            f"create keyspace {KEYSPACE} with replication = "
            "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}"
        )
        session.set_keyspace(KEYSPACE)
        with psycopg.connect(pair[0].dsn(), autocommit=True) as sql:
            sql.execute("set timezone = 'UTC'")
            for part in (types, ranges, ring, writes, counters, statics, refusals, catalogs):
                part(checks, session, sql)
            changes(checks, session, sql, pair)
    finally:
        driver.shutdown()
    return checks.wrong


def imported(sql, *tables):
    sql.execute(f"import foreign schema {KEYSPACE} limit to ({', '.join(tables)}) "
                "from server cluster into public")


def types(checks, session, sql):
    """Each type, as the driver wrote it; NULL; and written through SQL as it was read."""
    session.execute("create type address (street text, zips frozen<set<int>>)")
    columns = SCALARS + NESTED + [
        ("frozen<address>", None, None, "jsonb"), ("duration", None, None, "text"),
        ("address", None, None, "jsonb"),
    ]
    names = [f"c{n}" for n in range(len(columns))]
    listed = ", ".join(f"{name} {ty}" for name, (ty, *_) in zip(names, columns))
    session.execute(f"create table kinds (id int primary key, {listed})")
    given = [n for n, (_, value, *_) in enumerate(columns) if value is not None]
    insert = session.prepare(
        f"insert into kinds (id, {', '.join(names[n] for n in given)}) "
        f"values (1, {', '.join('?' * len(given))})"
    )
    session.execute(insert, [columns[n][1] for n in given])
    address, duration, place = names[-3:]
    session.execute(
        f"update kinds set {address} = {{street: 'Dlouhá', zips: {{2, 1}}}}, "
        f"{duration} = 1y2mo3d4h5m6s7ns, {place} = {{street: null, zips: {{}}}} where id = 1"
    )
    session.execute("insert into kinds (id) values (2)")
    imported(sql, "kinds")
    shown = ", ".join(f"{name}::text" for name in names)
    row = sql.execute(f"select {shown} from kinds where id = 1").fetchone()
    last = ["{\"zips\": [1, 2], \"street\": \"Dlouhá\"}", "P1Y2M3DT4H5M6.000000007S",
            "{\"zips\": [], \"street\": null}"]
    wanted = [text for *_, text, _ in columns[:-3]] + last
    # As values the driver and psycopg agree on, too.
    for (ty, *_), got, want in zip(columns, row, wanted):
        got, want = (("true" if v == "t" else v) for v in (got, want))
        checks.same(f"a value of {ty}", got, want)
    row = sql.execute("select * from kinds where id = 2").fetchone()
    checks.same("a row of NULLs", [v for v in row if v is not None], [2])
    found = dict(sql.execute(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute "
        "where attrelid = 'kinds'::regclass and attnum > 0"
    ).fetchall())
    for name, (ty, _, _, wanted) in zip(names, columns):
        checks.same(f"type of {ty}", found[name], wanted)
    checks.same("text as interval", sql.execute(
        f"select {duration}::interval = '1 year 2 mons 3 days 04:05:06' from kinds where id = 1"
    ).fetchone(), (True,))
    written_back(checks, session, sql, names, columns)


def written_back(checks, session, sql, names, columns):
    """What SQL reads of one row, it writes to another; the driver finds both the same."""
    row = sql.execute("select * from kinds where id = 1").fetchone()
    order = [c.name for c in sql.execute("select * from kinds where id = 1").description]
    marks, values = [], []
    for name, value in zip(order, row):
        marks.append("%s")
        at = names.index(name) if name in names else None
        kind = columns[at][3] if at is not None else "integer"
        if kind == "jsonb":
            value = json.dumps(value)
            marks[-1] = "%s::jsonb"
        values.append(3 if name == "id" else value)
    sql.execute(f"insert into kinds ({', '.join(order)}) values ({', '.join(marks)})", values)
    listed = ", ".join(names)
    first, third = (session.execute(f"select {listed} from kinds where id = {n}").one()
                    for n in (1, 3))
    for (ty, *_), one, other in zip(columns, first, third):
        checks.same(f"{ty} through SQL and back", str(other), str(one))


def ranges(checks, session, sql):
    """Keys and clustering ranges go to the cluster, and answers are CQL's."""
    session.execute(
        "create table events (device int, day date, at timestamp, n varint, note text, "
        "primary key ((device, day), at, n)) with clustering order by (at desc, n asc)"
    )
    insert = session.prepare("insert into events (device, day, at, n, note) values (?, ?, ?, ?, ?)")
    day = datetime.date(2024, 1, 1)
    start = datetime.datetime(2024, 1, 1)
    for device in range(3):
        for minute in range(40):
            at = start + datetime.timedelta(minutes=minute // 2)
            session.execute(insert, (device, day, at, minute, f"note {minute}"))
    imported(sql, "events")
    base = "select n::int as k from events where device = 1 and day = '2024-01-01'"
    prefix = "SELECT n FROM shop.events WHERE device = ? AND day = ?"
    cases = [
        ("", "", range(40)),
        (" and at = '2024-01-01 00:03Z'", " AND at = ?", [6, 7]),
        (" and at > '2024-01-01 00:17Z'", " AND at > ?", range(36, 40)),
        (" and at >= '2024-01-01 00:16:59.9995Z'", " AND at >= ?", range(34, 40)),
        (" and at < '2024-01-01 00:00:00.0005Z'", " AND at < ?", [0, 1]),
        (" and at between '2024-01-01 00:02Z' and '2024-01-01 00:03Z'",
         " AND at >= ? AND at <= ?", [4, 5, 6, 7]),
        (" and at = '2024-01-01 00:03Z' and n > 6.5", " AND at = ? AND n > ?", [7]),
        (" and at = '2024-01-01 00:03Z' and n = 6", " AND at = ? AND n = ?", [6]),
        (" and at = '2024-01-01 00:03:00.0001Z'", " AND at = ?", []),
        (" and note = 'note 5'", "", [5]),
        (" and at > 'infinity'", " AND at > ?", []),
        (" and at < 'infinity' and n < 2", " AND at < ?", [0, 1]),
    ]
    for more, cql, wanted in cases:
        got = sorted(n for (n,) in sql.execute(base + more).fetchall())
        checks.same(f"rows where{more or ' key'}", got, list(wanted))
        sent = cql_of(sql, base + more)
        named = [c.split(" WHERE ")[1] for c in sent]
        checks.same(f"CQL where{more or ' key'}", named, [(prefix + cql).split(" WHERE ")[1]])
    lists = "select count(*) from events where device in (0, 2, 2, 7) and day = '2024-01-01'"
    checks.same("IN", sql.execute(lists).fetchone(), (80,))
    half = "select count(*) from events where device = 1"
    checks.same("half a partition key", cql_of(sql, half), ["SELECT device FROM shop.events"])
    checks.same("its rows", sql.execute(half).fetchone(), (40,))
    ordered(checks, sql, base)
    joins(checks, session, sql)


def ordered(checks, sql, base):
    """A partition's order saves the sort, both ways."""
    for order, cql in ((" order by at desc, n", ""), (" order by at, n desc",
                                                      " ORDER BY at ASC")):
        lines = plan(sql, base + order + " limit 3")
        checks.same(f"no sort for{order}", [l for l in lines if "Sort" in l], [])
        checks.same(f"CQL for{order}", lines[-2].endswith("day = ?" + cql), True)
    got = [n for (n,) in sql.execute(base + " order by at, n desc limit 3").fetchall()]
    checks.same("ascending", got, [1, 0, 3])
    got = [n for (n,) in sql.execute(base + " order by at desc, n limit 3").fetchall()]
    checks.same("descending", got, [38, 39, 36])
    got = [n for (n,) in sql.execute(base + " order by at, n limit 3").fetchall()]
    checks.same("neither", got, [0, 1, 2])


def joins(checks, session, sql):
    """With tables of the store, and with each other."""
    sql.execute("create table devices (id int primary key, name text)")
    sql.execute("insert into devices values (1, 'one'), (2, 'two'), (9, 'nine')")
    # A table of unknown size is taken for one that is not worth a request for each row.
    sql.execute("analyze devices")
    query = ("select d.name, count(e.n), max(e.note) from devices d left join events e "
             "on e.device = d.id and e.day = '2024-01-01' group by d.name order by 1")
    checks.same("a join", sql.execute(query).fetchall(),
                [("nine", 0, None), ("one", 40, "note 9"), ("two", 40, "note 9")])
    checks.same("it looks up", any("WHERE device = ? AND day = ?" in c
                                   for c in cql_of(sql, query)), True)
    query = ("select name from devices d where exists (select from events e where "
             "e.device = d.id and e.day = '2024-01-01' and e.note = 'note 3') order by 1")
    checks.same("EXISTS", sql.execute(query).fetchall(), [("one",), ("two",)])
    query = ("select id, (select count(*) from events e where e.device = d.id and "
             "e.day = '2024-01-01') from devices d order by 1")
    checks.same("a subquery", sql.execute(query).fetchall(), [(1, 40), (2, 40), (9, 0)])


def ring(checks, session, sql):
    """More rows than a page, and large ones."""
    from cassandra.concurrent import execute_concurrent_with_args

    session.execute("create table many (id int primary key, v blob)")
    insert = session.prepare("insert into many (id, v) values (?, ?)")
    rows = [(n, bytes(n % 3000)) for n in range(6000)]
    execute_concurrent_with_args(session, insert, rows, concurrency=50)
    imported(sql, "many")
    checks.same("all rows", sql.execute(
        "select count(*), count(distinct id), sum(length(v)) from many").fetchone(),
        (6000, 6000, sum(n % 3000 for n in range(6000))))
    lines = plan(sql, "select * from many where length(v) = 5")
    checks.same("the ring", "CQL: SELECT id, v FROM shop.many" in lines, True)
    checks.same("not transactional",
                "Consistency: LOCAL_QUORUM, not transactional" in lines, True)
    (lines,) = sql.execute("explain (analyze, format text) select id from many limit 3").fetchall()[
        1:2]
    checks.same("LIMIT reads no more", "rows=3" in lines[0], True)
    with psycopg.connect(sql.info.dsn, autocommit=True) as other:
        other.execute("set statement_timeout = '1ms'")
        checks.refused(other, "select count(*) from many a, many b", "57014", "timeout")
        other.execute("reset statement_timeout")
        threading.Timer(0.5, other.cancel).start()
        checks.refused(other, "select count(*) from many a, many b, many c", "57014", "user")


def writes(checks, session, sql):
    """Rows written by SQL are there for CQL; counts and keys are SQL's."""
    session.execute("create table people (org int, id int, name text, age int, tags set<text>, "
                    "primary key (org, id))")
    imported(sql, "people")
    done = sql.execute("insert into people (org, id, name) values (1, 1, 'a'), (1, 2, 'b')")
    checks.same("INSERT", done.statusmessage, "INSERT 0 2")
    checks.refused(sql, "insert into people (org, id) values (1, 3), (1, 2)", "23505",
                   "One row of this statement was written before, and stays")
    checks.same("kept", [tuple(r) for r in session.execute(
        "select id, name from people where org = 1")], [(1, "a"), (2, "b"), (3, None)])
    for statement, tag in (
        ("insert into people (org, id) values (1, 1) on conflict do nothing", "INSERT 0 0"),
        ("update people set name = 'z' where org = 1 and id = 9", "UPDATE 0"),
        ("update people set name = upper(name) || id, age = 5 where org = 1 and id = 1",
         "UPDATE 1"),
        ("update people set age = coalesce(age, 0) + 1, tags = '{x,y}' where org = 1 and id = 2",
         "UPDATE 1"),
        ("update people set age = 7 where org = 1 and id = 2 and age = 5", "UPDATE 0"),
        ("update people set age = null where org = 1 and id = 1 and age = 5", "UPDATE 1"),
        ("delete from people where org = 1 and id = 3 and age = 1", "DELETE 0"),
        ("delete from people where org = 1 and id = 3 and age is null", "DELETE 1"),
        ("delete from people where org = 1 and id = 3", "DELETE 0"),
    ):
        checks.same(statement, sql.execute(statement).statusmessage, tag)
    checks.same("CQL finds", [tuple(r) for r in session.execute(
        "select id, name, age, tags from people where org = 1")],
        [(1, "A1", None, None), (2, "b", 1, {"x", "y"})])
    checks.same("no row was made", session.execute(
        "select count(*) from people where org = 1 and id = 9").one()[0], 0)
    checks.same("RETURNING", sql.execute(
        "update people set age = age + 1 where org = 1 and id = 2 returning id, age").fetchall(),
        [(2, 2)])
    checks.same("by parameters", sql.execute(
        "delete from people where org = %s and id = %s returning name", (1, 2)).fetchall(),
        [("b",)])
    checks.same("EXPLAIN", plan(sql, "update people set age = age + 1 where org = 1 and id = 1"), [
        "Foreign Update on people",
        "CQL read first: SELECT org, id, age, name, tags FROM shop.people WHERE org = ? AND id = ?",
        "CQL: UPDATE shop.people SET age = ? WHERE org = ? AND id = ? IF age = ?",
        "Consistency: LOCAL_QUORUM, not transactional",
    ])
    added_up(checks, session, sql)


def added_up(checks, session, sql):
    """Updates of one row by several sessions: none is lost."""
    sql.execute("insert into people (org, id, age) values (5, 5, 0)")

    def work():
        with psycopg.connect(sql.info.dsn, autocommit=True) as c:
            for _ in range(10):
                while True:
                    try:
                        c.execute("update people set age = age + 1 where org = 5 and id = 5")
                        break
                    except psycopg.errors.SerializationFailure:
                        pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    finish(threads, 120)
    checks.same("no update is lost", session.execute(
        "select age from people where org = 5 and id = 5").one()[0], 40)


def counters(checks, session, sql):
    """Counters are counted, and nothing else."""
    session.execute("create table hits (page text primary key, n counter)")
    session.execute("update hits set n = n + 5 where page = 'home'")
    imported(sql, "hits")
    for statement, tag in (
        ("update hits set n = n + 3 where page = 'home'", "UPDATE 1"),
        ("update hits set n = n - 1 where page = 'home' and n > 100", "UPDATE 0"),
        ("update hits set n = 2 + n where page = 'home' and n = 8", "UPDATE 1"),
        ("update hits set n = n + 1 where page = 'none'", "UPDATE 0"),
    ):
        checks.same(statement, sql.execute(statement).statusmessage, tag)
    checks.same("counted", [tuple(r) for r in session.execute("select * from hits")],
                [("home", 10)])
    checks.refused(sql, "insert into hits values ('x', 1)", "0A000", "counters")
    checks.refused(sql, "update hits set n = 1 where page = 'home'", "0A000", "counter")


def statics(checks, session, sql):
    """Static columns are read with each row, and alone; they are not written."""
    session.execute("create table rooms (house int, room int, street text static, area int, "
                    "primary key (house, room))")
    session.execute("insert into rooms (house, room, street, area) values (1, 1, 's', 10)")
    session.execute("insert into rooms (house, room, area) values (1, 2, 20)")
    session.execute("insert into rooms (house, street) values (2, 'empty')")
    imported(sql, "rooms")
    checks.same("static columns", sorted(sql.execute(
        "select house, room, street, area from rooms").fetchall(), key=str),
        [(1, 1, "s", 10), (1, 2, "s", 20), (2, None, "empty", None)])
    checks.refused(sql, "update rooms set street = 'x' where house = 1 and room = 1", "0A000",
                   "static")
    checks.refused(sql, "insert into rooms values (3, 1, 5, 'x')", "0A000", "static")
    sql.execute("insert into rooms (house, room, area) values (3, 1, 5)")


def refusals(checks, session, sql):
    """What cannot be done is refused by name."""
    one = "insert into people (org, id) values (8, 8)"
    for statement, code, word in (
        ("update people set age = 1", "0A000", "each column of its key (org, id)"),
        ("update people set age = 1 where org = 1", "0A000", "(org, id)"),
        ("update people set age = 1 where org = 1 and id in (1, 2)", "0A000", "(org, id)"),
        ("delete from people where age = 1", "0A000", "(org, id)"),
        ("update people set id = 2 where org = 1 and id = 1", "0A000", "key"),
        ("insert into people (org, id) select 1, g from generate_series(1, 2) g", "0A000", "query"),
        ("insert into people (org) values (1)", "23502", "id"),
        ("insert into people (org, id) values (1, 1) on conflict (org, id) do nothing", "42P10",
         ""),
        ("with x as (insert into people (org, id) values (1, 1) returning 1) select * from x",
         "0A000", "WITH"),
        ("select * from people for update", "0A000", "locking rows"),
        ("truncate people", "0A000", "cannot truncate foreign table"),
        ("create index on people (age)", "42809", ""),
        ("alter table people add column x int", "0A000", "ALTER FOREIGN TABLE"),
        ("drop table people", "42809", "Use DROP FOREIGN TABLE"),
        ("drop foreign table devices", "42809", "Use DROP TABLE"),
        ("copy people from stdin", "0A000", "COPY FROM"),
        ("copy people to stdout", "42809", "COPY (SELECT ...)"),
        ("set sluice.consistency = 'any'", "22023", "local_quorum"),
        ("import foreign schema nowhere from server cluster into public", "HV00Q", "nowhere"),
        ("import foreign schema shop from server other into public", "42704", "other"),
        ("import foreign schema shop from server cluster into nowhere", "3F000", "nowhere"),
        ("import foreign schema shop from server cluster into public", "42P07", "importing"),
        ("import foreign schema foreign_tables from server cluster into public", "0A000", "Sluice"),
        ("create foreign table x (id text) server cluster options (keyspace 'shop', table 'many')",
         "42804", "integer"),
        ("create foreign table x (id int) server cluster options (keyspace 'shop')", "HV00R", ""),
        (f"{one}; select 1", "25001", "autocommit"),
    ):
        checks.refused(sql, statement, code, word)
    with psycopg.connect(sql.info.dsn) as block:
        checks.refused(block, one, "25001", "autocommit")
        block.rollback()
        block.execute("select count(*) from people")
        block.commit()
        for level in ("repeatable read", "serializable"):
            block.execute(f"set transaction isolation level {level}")
            checks.refused(block, "select * from people", "25004",
                           "sluice.allow_nontransactional_reads")
            block.rollback()
            block.execute("set sluice.allow_nontransactional_reads = on")
            block.commit()
            block.execute(f"set transaction isolation level {level}")
            block.execute("select count(*) from people")
            block.commit()
            block.execute("reset sluice.allow_nontransactional_reads")
            block.commit()
    checks.same("nothing was written", session.execute(
        "select count(*) from people where org = 8").one()[0], 0)
    sql.execute("set sluice.consistency = 'two'")
    checks.refused(sql, "select * from people", "08006", "sluice.consistency")
    # Paxos agrees before its outcome is too little written.
    checks.refused(sql, one, "40003", "not known")
    sql.execute("reset sluice.consistency")


def catalogs(checks, session, sql):
    """What the catalogs say."""
    query = ("select c.relkind, s.srvname, w.fdwname, f.ftoptions from pg_class c "
             "join pg_foreign_table f on f.ftrelid = c.oid join pg_foreign_server s "
             "on s.oid = f.ftserver join pg_foreign_data_wrapper w on w.oid = s.srvfdw "
             "where c.relname = 'people'")
    checks.same("pg_foreign_table", sql.execute(query).fetchall(),
                [("f", "cluster", "cql", ["keyspace=shop", "table=people"])])
    query = "select table_type from information_schema.tables where table_name = 'people'"
    checks.same("information_schema", sql.execute(query).fetchall(), [("FOREIGN",)])
    sql.execute("alter foreign table people rename column name to called")
    sql.execute("alter foreign table people rename to persons")
    checks.same("renamed", cql_of(sql, "select called from persons where org = 1"),
                ["SELECT org, name FROM shop.people WHERE org = ?"])
    sql.execute("create foreign table ages (o int options (column_name 'org'), "
                "i int options (column_name 'id'), age int) "
                "server cluster options (keyspace 'shop', table 'people')")
    checks.same("declared", sql.execute(
        "select age from ages where o = 5 and i = 5").fetchall(), [(40,)])
    sql.execute("drop foreign table ages, persons")


def changes(checks, session, sql, pair):
    """Another gateway knows at once; a table that is gone or another one is told of."""
    with psycopg.connect(pair[1].dsn(), autocommit=True) as other:
        checks.same("the other gateway", other.execute(
            "select count(*) from many").fetchone(), (6000,))
        sql.execute("begin")
        sql.execute("drop foreign table many")
        sql.execute("rollback")
        sql.execute("select from many limit 1")
        sql.execute("drop foreign table many")
        checks.refused(other, "select count(*) from many", "42P01")
        imported(sql, "many")
        other.execute("select count(*) from many where id = 1")
        session.execute("alter table many drop v")
        checks.refused(other, "select v from many where id = 1", "42703", "IMPORT FOREIGN SCHEMA")
        checks.same("the rest", other.execute(
            "select id from many where id = 1").fetchall(), [(1,)])
        session.execute("drop table many")
        checks.refused(other, "select id from many where id = 1", "42P01",
                       "IMPORT FOREIGN SCHEMA")
        checks.refused(sql, "delete from many where id = 1", "42P01", "IMPORT FOREIGN SCHEMA")
        session.execute("create table many (id text primary key)")
        session.execute("insert into many (id) values ('abcd')")
        checks.refused(other, "select id from many", "0A000", "IMPORT FOREIGN SCHEMA")
