"""Views from the nodes' files: an agent beside each node, two gateways that share a folder of
views, writers on both. What columns show is what rows show, at every snapshot, whatever happens to
agents, snapshots, files and nodes; and nothing is left behind."""

import contextlib
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import psycopg

import views
from gateways import gateways
from servers import free_port, sluice_binary, stop

KEYSPACE = "agents"
ROWS = 2_000
# Rows of one INSERT: each is a partition of its own.
INSERTED = 250
ROUNDS, ROUNDS_LONG = 4, 1_000
READY_TIMEOUT_S = 60
WAIT_S = 60
LOOK = ("select /*+ READ_FROM_STORAGE({}[{}]) */ count(*), sum(n), min(note), max(note), "
        "count(note) from {}")


class Agent:
    """An agent's process, beside a node."""

    def __init__(self, cluster, node, number, folder):
        self.cluster, self.node, self.folder = cluster, node, folder
        self.port, self.number = free_port(), number
        self.log = folder / f"agent-{number}.log"
        self.process = None

    def start(self):
        with open(self.log, "a") as out:
            self.process = subprocess.Popen(
                [str(sluice_binary()), "agent", "--contact-points", self.cluster.contact_points(),
                 "--keyspace", KEYSPACE, "--data-dir", str(self.node.folder / "data"),
                 "--nodetool", " ".join(self.node.nodetool_command()),
                 "--view-store", f"file://{self.folder}/store",
                 "--listen", f"127.0.0.1:{self.port}"],
                stdout=out, stderr=out,
            )
        return self

    def restart(self):
        ready = self.log.read_text().count("is ready")
        self.start()
        until(lambda: self.log.read_text().count("is ready") > ready, "an agent's restart")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def snapshots(self):
        """Folders of snapshots that agents took here."""
        return list((self.node.folder / "data" / KEYSPACE).glob("*/snapshots/sluice-*"))


def until(condition, what):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {WAIT_S} s")
        time.sleep(0.01)


@contextlib.contextmanager
def beside(cluster, folder):
    """An agent for each node; they are gone afterwards, and nodes that were killed start again."""
    agents = [Agent(cluster, node, n, folder) for n, node in enumerate(cluster.nodes)]
    try:
        yield agents
    finally:
        for agent in agents:
            if agent.process is not None and agent.process.poll() is None:
                stop(agent.process)


def connect(server):
    return psycopg.connect(server.dsn(), autocommit=True)


def source(server, table):
    """Where the newest view of a table came from, as its gateway says."""
    with connect(server) as c:
        return c.execute("select source, generation, last_error from pg_stat_columnar_views "
                         "where relname = %s", (table,)).fetchone() or (None, 0, None)


def compare(server, table, wrong, what):
    """Both paths at one snapshot."""
    with connect(server) as c:
        c.execute("begin isolation level repeatable read")
        try:
            columns = c.execute(LOOK.format("COLUMNAR", table, table)).fetchone()
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            if "older than the view" not in str(error.diag.message_detail):
                wrong.append(f"{what}: {error} {error.diag.message_detail}")
            return 0
        rows = c.execute(LOOK.format("ROW", table, table)).fetchone()
    if rows != columns:
        wrong.append(f"{what}: rows {rows}, columns {columns}")
    return 1


def run(cluster, long):
    """What went wrong."""
    wrong = []
    with tempfile.TemporaryDirectory(prefix="sluice-agents-") as folder:
        folder = pathlib.Path(folder)
        flags = ["--view-store", f"file://{folder}/store", "--sstable-rows", "0"]
        with gateways(cluster, 2, keyspace=KEYSPACE, flags=flags) as pair, \
                beside(cluster, folder) as agents:
            try:
                scenario(cluster, pair, agents, folder, wrong, long)
            except BaseException:
                for agent in agents:
                    print(f"-- {agent.log.name}\n{agent.log.read_text()[-3000:]}")
                raise
    return wrong


def scenario(cluster, pair, agents, folder, wrong, long):
    for agent in agents:
        agent.start()
    for agent in agents:
        until(lambda: "is ready" in agent.log.read_text() or agent.process.poll() is not None,
              "an agent")
    with connect(pair[0]) as a:
        a.execute("create table r (id int primary key, n int, note text)")
        for first in range(1, ROWS, INSERTED):
            a.execute("insert into r select x, 0, 'n' || x from generate_series(%s::int, %s) x",
                      (first, first + INSERTED - 1))
    quorum = len(agents) // 2 + 1
    rebuild(pair, 0, wrong, f"sstables of {quorum} of {len(agents)} nodes", "a first view")
    shared(pair, wrong)
    rounds(pair, ROUNDS_LONG if long else ROUNDS, wrong)
    with_writers(pair, 30 if long else 6, wrong)
    trouble(cluster, pair, agents, wrong)
    for agent in agents:
        until(lambda: not agent.snapshots(), "snapshots to go")
        if "sluice-" in agent.node.nodetool("listsnapshots"):
            wrong.append(f"a snapshot is left: {agent.node.nodetool('listsnapshots')}")
    with connect(pair[1]) as b:
        b.execute("drop table r")
    until(lambda: not list(folder.glob("store/*/*/*.parquet")), "files of a dropped table to go")
    for agent in agents:
        agent.process.send_signal(signal.SIGTERM)
        if agent.process.wait(30):
            wrong.append(f"an agent ended with {agent.process.returncode}")


def rebuild(pair, by, wrong, wanted, what):
    """A view from nothing, by one gateway; both show the same. `wanted` begins its source."""
    with connect(pair[by]) as c:
        c.execute("alter table r set (columnar = off)")
        c.execute("alter table r set (columnar = on)")
        c.execute("refresh columnar view r")
    made = source(pair[by], "r")
    # What changed while it was made may have been added since.
    if not re.match(f"{wanted}|changes", str(made[0])):
        wrong.append(f"{what}: made from {made}, not {wanted}")
    compare(pair[by], "r", wrong, what)
    compare(pair[1 - by], "r", wrong, f"{what}, the other gateway")
    return made


def shared(pair, wrong):
    """A generation that one gateway made is the other's too."""
    with connect(pair[0]) as a, connect(pair[1]) as b:
        a.execute("update r set n = n + 1 where id between 10 and 30")
        a.execute("refresh columnar view r")
        until(lambda: source(pair[1], "r")[1] >= source(pair[0], "r")[1], "a shared generation")
        before = source(pair[0], "r")[1]
        b.execute("update r set n = n + 1 where id between 10 and 30")
        b.execute("refresh columnar view r")
        if source(pair[1], "r")[1] != before + 1:
            wrong.append(f"generations: {before}, then {source(pair[1], 'r')}")
    compare(pair[0], "r", wrong, "after another's refresh")


def rounds(pair, count, wrong):
    """Write, be acknowledged, export: nothing is missing."""
    rand = random.Random(7)
    missing = 0
    began = time.monotonic()
    for n in range(count):
        writer, maker = rand.randrange(2), rand.randrange(2)
        key = ROWS + 1 + n
        with connect(pair[writer]) as c:
            c.execute("insert into r values (%s, 1, 'round')", (key,))
            c.execute("update r set n = %s where id between %s and %s", (n, key % ROWS, key % ROWS + 3))
        made = rebuild(pair, maker, wrong, "sstables", f"round {n}")
        with connect(pair[maker]) as c:
            seen = c.execute("select /*+ READ_FROM_STORAGE(COLUMNAR[r]) */ count(*) from r "
                             "where id + 0 > %s", (ROWS,)).fetchone()[0]
        missing += n + 1 - seen
        if wrong:
            print(f"   round {n}: {made} {wrong}")
            return
    if missing:
        wrong.append(f"{missing} rows are missing")
    print(f"   {count} rounds of writing, acknowledgement and export in "
          f"{time.monotonic() - began:.0f} s, {missing} rows missing")


def with_writers(pair, seconds, wrong):
    """Rebuilds and refreshes beside writers on both gateways."""
    halt = threading.Event()
    looks, made = [0], []

    def write(server, number):
        rand = random.Random(number)
        with connect(server) as c:
            while not halt.is_set():
                row = rand.randrange(1, ROWS)
                try:
                    with c.transaction():
                        c.execute("update r set n = n + 1, note = 'w' || id where id between %s "
                                  "and %s", (row, row + 4))
                        c.execute("delete from r where id = %s", (row + 2,))
                        c.execute("insert into r values (%s, 5, null) on conflict (id) do update "
                                  "set n = r.n + 1", (row + 2,))
                except psycopg.Error as error:
                    if error.sqlstate not in views.RETRY:
                        wrong.append(f"writer: {error.sqlstate} {error}")

    def look():
        while not halt.is_set() and not wrong:
            looks[0] += compare(pair[looks[0] % 2], "r", wrong, "beside writers")

    threads = [threading.Thread(target=write, args=(pair[n], n)) for n in (0, 1)]
    threads.append(threading.Thread(target=look))
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not wrong:
        with connect(pair[len(made) % 2]) as c:
            # So much changes that all is made anew.
            for part in range(0, ROWS, INSERTED):
                with contextlib.suppress(psycopg.errors.SerializationFailure,
                                         psycopg.errors.DeadlockDetected):
                    c.execute("update r set note = 'all' where id %% 5 < 2 and id between %s "
                              "and %s", (part, part + INSERTED))
            c.execute("refresh columnar view r")
        made.append(source(pair[len(made) % 2], "r")[0])
    halt.set()
    for thread in threads:
        thread.join(120)
    whole = sum("sstables" in str(m) for m in made)
    print(f"   {looks[0]} looks through both paths beside writers, {len(made)} refreshes, "
          f"{whole} of them from files")
    if not looks[0] or not made:
        wrong.append("nothing was looked at")


def trouble(cluster, pair, agents, wrong):
    """What goes wrong with an export is made good by another way."""

    def during(action, what, wanted):
        """Does something as soon as a snapshot appears."""
        hit = []

        def watch():
            with contextlib.suppress(RuntimeError):
                until(lambda: any(a.snapshots() for a in agents), "a snapshot")
                owner = next(a for a in agents if a.snapshots())
                until(lambda: list(owner.snapshots()[0].glob("*-Data.db")), "its files")
                action(owner)
                hit.append(owner)

        for agent in agents:
            until(lambda: not agent.snapshots(), "earlier snapshots to go")
        watcher = threading.Thread(target=watch)
        watcher.start()
        made = rebuild(pair, 0, wrong, wanted, what)
        watcher.join()
        print(f"   {what}: {made[0]}")
        if not hit:
            wrong.append(f"{what}: nothing was done")
        return hit[0] if hit else None

    # With one node there is no other replica, so rows are read through the store.
    other = "store|sstables" if len(agents) == 1 else "sstables|store"
    killed = during(lambda agent: agent.kill(), "an agent killed in an export", other)
    if killed is not None:
        killed.restart()
        if killed.snapshots():
            wrong.append("a killed agent's snapshots stay after its restart")

    def remove(agent):
        for folder in agent.snapshots():
            shutil.rmtree(folder, ignore_errors=True)

    during(remove, "a snapshot removed by an operator", other)

    def corrupt(agent):
        for path in agent.snapshots()[0].glob("*-Data.db"):
            # Another file of the same name: the node's own stays as it is.
            content = bytearray(path.read_bytes())
            for at in range(len(content) // 3, len(content), 997):
                content[at] ^= 0x55
            path.unlink()
            path.write_bytes(content)

    during(corrupt, "a corrupt file in a snapshot", other)
    if len(cluster.nodes) > 1:
        last = cluster.nodes[-1]
        last.signal(signal.SIGKILL)
        last.process.wait()
        made = rebuild(pair, 0, wrong, "sstables|store", "a node that is down")
        print(f"   a node that is down: {made[0]}")
        last.start()
        last.wait_ready()
        cluster.wait_joined()
        # Its JMX port is another now, and its agent's nodetool with it.
        agents[-1].process.send_signal(signal.SIGTERM)
        agents[-1].process.wait(60)
        agents[-1].restart()
    rebuild(pair, 0, wrong, "sstables", "afterwards")
