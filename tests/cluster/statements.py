"""What each class of statement asks of the cluster, beside the table in ARCHITECTURE.md.

The table's rows name a statement each; here is what they mean, and EXPLAIN (ANALYZE) counts.
"""

import re
import time

import psycopg

from gateways import ROOT

KINDS = ("reads", "writes", "lwts")
HEADER = ("| statement, alone in its transaction | reads | writes | lwts "
          "| Accord: reads | transactions |")
# Requests that nothing of the kind needs where nobody is in the way.
NEVER = ("serial_reads", "conflicts", "retries", "lock_waits")
# A gateway that has not looked at the others' rows for half a lease does so before it answers, and
# what is read just after it was written may still have its intents: then it is tried again, later.
TRIES = 40
PAUSE_S, PAUSE_MAX_S = 0.01, 0.3
# The first of the numbers that statements use; fewer than a thousand are.
FIRST = 1000
# Records of commits stay for ten seconds when their rows are finished.
RECORDS_GONE_S = 20

TABLES = """
create table plain (id int primary key, v int);
create table wide (p int, c int, v int, primary key (p, c)) with (partition_by = 'p');
create table indexed (id int primary key, v int);
create index on indexed (v);
create table single (id int primary key, v int unique);
create table parent (id int primary key);
create table child (id int primary key, parent int references parent);
insert into plain select x, x from generate_series(1, 20) x;
insert into plain select x, x from generate_series(1000, 1300) x;
insert into parent values (1), (2);
insert into wide select 1, x, x from generate_series(1, 20) x;
insert into indexed select x, x from generate_series(1, 20) x;
insert into single select x, x from generate_series(1, 20) x;
"""

# `%d` is a number that was not used before.
STATEMENTS = {
    "point read": "select v from plain where id = 1",
    "read of a row by a secondary index": "select * from indexed where v = 3",
    "INSERT of one row": "insert into plain values (%d0, 0)",
    "UPDATE by key": "update plain set v = v + 1 where id = 1",
    "DELETE by key": "delete from plain where id = %d",
    "INSERT of five rows in one partition":
        "insert into wide select 2, %d0 + x, 0 from generate_series(1, 5) x",
    "INSERT of five rows in five partitions":
        "insert into plain select %d00 + x, 0 from generate_series(1, 5) x",
    "INSERT of one row with an index": "insert into indexed values (%d, %d)",
    "UPDATE of an indexed column": "update indexed set v = %d where id = 1",
    "INSERT of one row with UNIQUE": "insert into single values (%d, %d)",
    "INSERT of one row with a foreign key": "insert into child values (%d, 2)",
}


def documented(commit):
    """The table: statement, and its requests."""
    lines = (ROOT / "src" / "ARCHITECTURE.md").read_text().splitlines()
    table = {}
    for line in lines[lines.index(HEADER) + 2:]:
        if not line.startswith("|"):
            break
        name, *counts = (cell.strip() for cell in line.strip("|").split("|"))
        reads, writes, lwts, *accord = (int(count) for count in counts)
        table[name] = (reads, writes, lwts)
        if commit == "accord":
            table[name] = (accord[0], writes, accord[1])
    return table


def counted(connection, sql):
    """The requests of one statement."""
    lines = connection.execute("explain (analyze, costs off) " + sql).fetchall()
    found = [line for (line,) in lines if line.startswith("Store: reads=")]
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", found[0])}


def compare(server, commit, cql):
    """What differs. `cql`: a session of the keyspace."""
    table, wrong, number = documented(commit), [], FIRST
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(TABLES)
        # A table this small may be read whole, the slower the machine the sooner.
        connection.execute("set enable_seqscan = off")
        print(f"   {'':40}" + "".join(f"{kind:>8}" for kind in KINDS))
        for name, sql in STATEMENTS.items():
            for tried in range(TRIES):
                number += 1
                counts = counted(connection, sql.replace("%d", str(number)))
                found = tuple(counts[kind] for kind in KINDS)
                if found == table.get(name) and not any(counts[kind] for kind in NEVER):
                    break
                time.sleep(min(PAUSE_MAX_S, PAUSE_S * (tried + 1)))
            else:
                wrong.append(f"{name}: {counts}, documented: {table.get(name)}")
            print(f"   {name:40}" + "".join(f"{count:>8}" for count in found))
        blocks(connection, wrong)
        if commit == "lwt":
            records(connection, cql, wrong)
    if table.keys() != STATEMENTS.keys():
        wrong.append(f"documented or tried alone: {table.keys() ^ STATEMENTS.keys()}")
    return wrong


def records(connection, cql, wrong):
    """What commits over several partitions leave behind goes away."""
    for n in range(20):
        connection.execute("insert into plain select %s - x, 0 from generate_series(1, 5) x", (-5 * n,))
    count = lambda: cql.execute("select count(vd) from transactions").one()[0]
    most, deadline = count(), time.monotonic() + RECORDS_GONE_S
    while (left := count()) and time.monotonic() < deadline:
        most = max(most, left)
        time.sleep(0.5)
    print(f"   {most} records of commits, {left} of them after a while")
    if not most or left:
        wrong.append(f"of {most} records of commits {left} stay")


def blocks(connection, wrong):
    """In a block a statement does not count the commit, nor what another session does."""
    with connection.transaction():
        counts = counted(connection, "update plain set v = 0 where id = 1")
    if counts["lwts"] != 1:
        wrong.append(f"a lock in a block: {counts}")
