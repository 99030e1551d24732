"""DDL by two gateways in a loop while both are killed and restarted at random. In the end:

- both gateways show the same catalog;
- every table can be used through both: no lock of a dead gateway's DDL is left;
- every index has exactly its table's rows, as SQL finds them and as CQL counts them;
- no CQL table is left of what was dropped.
"""

import contextlib
import random
import threading
import time

import psycopg

from gateways import finish

TABLES = [f"d{n}" for n in range(4)]
ROWS = 40
# What a client may be told: it is there already, or gone, or changed just now, or is held.
FINE = {"42P01", "42P07", "42701", "42703", "42704", "40001", "40P01", "55P03", "23505"}
LOST = ("08", "57")
# Within which the last things are cleared away.
CLEARED_S = 70
CATALOG = {
    "relations": """select c.relname, c.relkind::text, c.relfilenode from pg_class c
        join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' order by 1""",
    "columns": """select c.relname, a.attname, a.attnum, a.atttypid from pg_attribute a
        join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and a.attnum > 0 and not a.attisdropped order by 1, 3""",
    "indexes": """select c.relname, t.relname, i.indkey::text, i.indisunique, i.indisvalid
        from pg_index i join pg_class c on c.oid = i.indexrelid
        join pg_class t on t.oid = i.indrelid
        join pg_namespace n on n.oid = t.relnamespace where n.nspname = 'public' order by 1""",
}


class Loops:
    """What the clients share."""

    def __init__(self, pair):
        self.pair, self.stop = pair, threading.Event()
        self.counts, self.wrong, self.lock = {}, [], threading.Lock()

    def note(self, what, error=None):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1
            if error is not None:
                self.wrong.append(error)

    def client(self, number):
        rng, connection = random.Random(number), None
        while not self.stop.is_set():
            texts = statements(rng)
            try:
                if connection is None or connection.closed:
                    server = self.pair[number % 2]
                    connection = psycopg.connect(server.dsn(), connect_timeout=5, autocommit=True)
                    connection.execute("set lock_timeout = '5s'")
                for text in texts:
                    connection.execute(text)
                self.note("done")
            except psycopg.Error as error:
                state = error.sqlstate or "lost"
                known = state in FINE | {"lost", "40003"} or state[:2] in LOST
                self.note(state, None if known else f"{'; '.join(texts)}: {state} {error}")
                with contextlib.suppress(Exception):
                    connection.execute("rollback")
                if state == "lost" or state[:2] in LOST:
                    with contextlib.suppress(Exception):
                        connection.close()
                    connection = None
                    time.sleep(0.1)

    def kill(self, seconds, rng):
        """kill -9 of one gateway or both, and their restart."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(rng.uniform(0.5, 4))
            gone = rng.choice([[0], [1], [0], [1], [0, 1]])
            for at in gone:
                self.pair.kill(at)
                self.note("kill -9")
            time.sleep(rng.choice([0, 0, 1, 5]))
            for at in gone:
                self.pair.restart(at)


def statements(rng):
    """One statement, or a block of some."""
    t, k, n = rng.choice(TABLES), rng.randrange(3), rng.randrange(ROWS)
    create = f"create table {t} (id int primary key, v int, u text unique)"
    insert = f"insert into {t} (id, v, u) values ({n}, {rng.randrange(5)}, 'u{rng.randrange(99)}')"
    return rng.choice([
        [create], [create], [insert], [insert], [insert],
        [f"insert into {t} (id, v, u) select x, x % 5, 'x' || x from generate_series(1, 20) x"],
        [f"create index {t}_i{k} on {t} (v)"],
        [f"drop index {t}_i{k}"],
        [f"alter table {t} add column w{k} int default 7"],
        [f"alter table {t} drop column w{k}"],
        [f"update {t} set v = v + 1 where id = {n}"],
        [f"update {t} set v = v + 1"],
        [f"delete from {t} where id = {n}"],
        [f"truncate {t}"],
        [f"drop table {t}"],
        ["begin", create, f"create index {t}_i{k} on {t} (v)", insert, "commit"],
        ["begin", f"drop table {t}", create, insert, "commit"],
        ["begin", insert, f"alter table {t} add column w{k} int default 7", "rollback"],
    ])


def run(cluster, pair, keyspace, seconds, clients=4):
    """What went wrong."""
    loops = Loops(pair)
    threads = [threading.Thread(target=loops.client, args=(n,), daemon=True)
               for n in range(clients)]
    for thread in threads:
        thread.start()
    try:
        loops.kill(seconds, random.Random(seconds))
    finally:
        loops.stop.set()
        finish(threads, 120)
    print("   " + ", ".join(f"{name}: {n}" for name, n in sorted(loops.counts.items())))
    return loops.wrong + check(cluster, pair, keyspace)


def check(cluster, pair, keyspace):
    """Compares what both gateways and CQL show."""
    wrong = []
    with cluster.cql(keyspace, timeout_s=30) as cql:
        with psycopg.connect(pair[0].dsn(), autocommit=True) as a, \
                psycopg.connect(pair[1].dsn(), autocommit=True) as b:
            for c in (a, b):
                c.execute("set lock_timeout = '10s'")
            for name, sql in CATALOG.items():
                one, two = a.execute(sql).fetchall(), b.execute(sql).fetchall()
                if one != two:
                    wrong.append(f"{name} differ: {set(one) ^ set(two)}")
            tables = [r[0] for r in a.execute(CATALOG["relations"]) if r[1] == "r"]
            print(f"   left: {len(tables)} tables, "
                  f"{len(a.execute(CATALOG['indexes']).fetchall())} indexes")
            for n, table in enumerate(tables):
                try:
                    use(cql, (a, b) if n % 2 else (b, a), table, wrong)
                except psycopg.Error as error:
                    wrong.append(f"{table} cannot be used: {error.sqlstate} {error}")
            nothing_left(cql, a, wrong)
            for table in tables:
                b.execute(f"drop table {table}")
            nothing_left(cql, a, wrong)
    return wrong


def use(cql, connections, table, wrong):
    """Writes through one gateway, looks through the other, compares each index with the table."""
    a, b = connections
    a.execute(f"insert into {table} (id, v, u) values (1001, 1, 'a'), (1002, 2, 'b')")
    b.execute(f"update {table} set v = 3 where id = 1001")
    b.execute(f"alter table {table} add column last int default 1")
    rows = a.execute(f"select id, v, u, last from {table} order by id").fetchall()
    if rows[-2:] != [(1001, 3, "a", 1), (1002, 2, "b", 1)]:
        wrong.append(f"{table}: {rows[-2:]}")
    for column, at in (("v", 1), ("u", 2)):
        for value in {row[at] for row in rows} | {77}:
            value = str(value) if column == "u" else value
            got = b.execute(f"select id from {table} where {column} = %s order by id", (value,))
            if [r[0] for r in got] != [row[0] for row in rows if row[at] == value]:
                wrong.append(f"{table} by {column} = {value}")
    spaces = a.execute(
        "select c.relname, c.relfilenode from pg_class c where c.oid = %s::regclass or c.oid in "
        "(select indexrelid from pg_index where indrelid = %s::regclass)", (table, table)).fetchall()
    deadline = time.monotonic() + CLEARED_S
    for name, space in spaces:
        # The table's own key has no space beside the table's.
        count = f"select count(*) from s{space} where kind = 1 and live = true allow filtering"
        while (found := cql.execute(count).one()[0]) != len(rows):
            if time.monotonic() > deadline:
                wrong.append(f"{name} has {found} entries, and {table} {len(rows)} rows")
                break
            time.sleep(0.5)


def nothing_left(cql, a, wrong):
    """Every space's CQL table belongs to something."""
    listed = ("select table_name from system_schema.tables "
              f"where keyspace_name = '{cql.keyspace}'")
    deadline = time.monotonic() + CLEARED_S
    while True:
        wanted = {f"s{r[0]}" for r in a.execute("select relfilenode from pg_class")}
        there = {r.table_name for r in cql.execute(listed) if r.table_name[1:].isdigit()}
        # Those below belong to the gateways themselves.
        left = {name for name in there - wanted if int(name[1:]) >= FIRST_SPACE}
        if not left:
            return
        if time.monotonic() > deadline:
            wrong.append(f"CQL tables of what was dropped: {sorted(left)}")
            return
        time.sleep(1)


# The first space that a table gets.
FIRST_SPACE = 100
