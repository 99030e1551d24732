"""Views from the nodes' files: an agent beside each node, two gateways that share a folder of
views, writers on both. What columns show is what rows show, at every snapshot, whatever happens to
agents, gateways, snapshots, files and nodes; and nothing is left behind. With Accord, where files
lag behind what was acknowledged, the same gateways read views through QUORUM, and say so."""

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
from gateways import finish, gateways
from nodes import kept_nodetool
from servers import free_port, sluice_binary, stop

KEYSPACE = "agents"
ROWS = 2_000
# Rows of one INSERT: each is a partition of its own.
INSERTED = 250
ROUNDS, ROUNDS_LONG = 4, 1_000
# How long they may take, and after how many rows and columns are compared whole.
ROUNDS_MAX_S, ROUNDS_COMPARED = 2_700, 10
READY_TIMEOUT_S = 60
WAIT_S = 60
# What a writer may meet while a node or a gateway dies: nobody knows yet, or nobody answers.
UNSURE = {"40003", "08007", "08006", "57P03", "58000", "53300"}
LOOK = ("select /*+ READ_FROM_STORAGE({}[{}]) */ count(*), sum(n), min(note), max(note), "
        "count(note) from {}")


class Agent:
    """An agent's process, beside a node."""

    def __init__(self, cluster, node, number, folder, kept):
        self.cluster, self.node, self.folder = cluster, node, folder
        # A nodetool that starts no JVM for a command; none: the node's own.
        self.kept = kept
        self.port, self.number = free_port(), number
        self.log = folder / f"agent-{number}.log"
        self.process = None

    def start(self):
        with open(self.log, "a") as out:
            self.process = subprocess.Popen(
                [str(sluice_binary()), "agent", "--contact-points", self.cluster.contact_points(),
                 "--keyspace", KEYSPACE, "--data-dir", str(self.node.folder / "data"),
                 "--nodetool", self.kept.command(self.node) if self.kept else
                 " ".join(self.node.nodetool_command()),
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

    def end(self):
        """The exit status of one that was told to stop."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)

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
    """An agent for each node; they are gone afterwards."""
    with kept_nodetool(cluster, folder) as kept:
        agents = [Agent(cluster, node, n, folder, kept) for n, node in enumerate(cluster.nodes)]
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


def run(cluster, long, commit):
    """What went wrong."""
    wrong = []
    with tempfile.TemporaryDirectory(prefix="sluice-agents-") as folder:
        folder = pathlib.Path(folder)
        flags = ["--view-store", f"file://{folder}/store", "--sstable-rows", "0"]
        with gateways(cluster, 2, keyspace=KEYSPACE, flags=flags) as pair, \
                beside(cluster, folder) as agents:
            try:
                scenario(cluster, pair, agents, folder, wrong, long, commit)
            except BaseException:
                for agent in agents:
                    print(f"-- {agent.log.name}\n{agent.log.read_text()[-3000:]}")
                raise
    return wrong


def scenario(cluster, pair, agents, folder, wrong, long, commit):
    for agent in agents:
        agent.start()
    for agent in agents:
        until(lambda: "is ready" in agent.log.read_text(), "an agent's start")
    with connect(pair[0]) as a:
        a.execute("create table r (id int primary key, n int, note text)")
        for first in range(1, ROWS, INSERTED):
            a.execute("insert into r select x, 0, 'n' || x from generate_series(%s::int, %s) x",
                      (first, first + INSERTED - 1))
    quorum = len(agents) // 2 + 1
    files = f"sstables of {quorum} of {len(agents)} nodes"
    files += f", by {quorum} agents" if quorum > 1 else ""
    wanted = "store" if commit == "accord" else files
    print(f"   a first view: {rebuild(pair, 0, wrong, wanted, 'a first view')[0]}")
    shared(pair, wrong)
    rounds(pair, ROUNDS_LONG if long else ROUNDS, wanted, wrong)
    with_writers(pair, 30 if long else 6, wrong)
    if commit == "lwt":
        for agent in agents:
            agent.kept = None
            agent.end()
            agent.restart()
        with writing(pair, wrong):
            trouble(cluster, pair, agents, wrong)
            deaths(cluster, pair, agents, wrong)
        rebuild(pair, 0, wrong, files, "afterwards")
    for agent in agents:
        until(lambda: not agent.snapshots(), "snapshots to go")
        if "sluice-" in agent.node.nodetool("listsnapshots"):
            wrong.append(f"a snapshot is left: {agent.node.nodetool('listsnapshots')}")
    with connect(pair[1]) as b:
        b.execute("drop table r")
    until(lambda: not list(folder.glob("store/*/*/*.parquet")), "files of a dropped table to go")
    for agent in agents:
        if status := agent.end():
            wrong.append(f"an agent ended with {status}")


def rebuild(pair, by, wrong, wanted, what):
    """A view from nothing, by one gateway; both show the same. `wanted` begins its source."""
    with connect(pair[by]) as c:
        remake(c)
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


def rounds(pair, count, wanted, wrong):
    """Write, be acknowledged, have a view made: nothing is missing. Each view is made from nothing,
    of snapshots that begin after the answer; nobody else writes, so no change log makes good what
    they lack."""
    rand = random.Random(7)
    began, done, missing = time.monotonic(), 0, 0
    for n in range(count):
        writer, maker = rand.randrange(2), rand.randrange(2)
        key = ROWS + 1 + n
        first = key % ROWS
        with connect(pair[writer]) as c:
            c.execute("insert into r values (%s, 1, 'round')", (key,))
            c.execute("update r set n = %s where id between %s and %s", (n, first, first + 3))
        with connect(pair[maker]) as c:
            remake(c)
            seen = c.execute(
                "select /*+ READ_FROM_STORAGE(COLUMNAR[r]) */ count(*) filter (where id > %s), "
                "count(*) filter (where n = %s and id between %s and %s) from r",
                (ROWS, n, first, first + 3)).fetchone()
        made = source(pair[maker], "r")
        missing += n + 1 - seen[0] + 4 - seen[1]
        done += 1
        if not re.match(wanted, str(made[0])):
            wrong.append(f"round {n}: made from {made}, not {wanted}")
        if n % ROUNDS_COMPARED == 0:
            compare(pair[maker], "r", wrong, f"round {n}")
            compare(pair[1 - maker], "r", wrong, f"round {n}, the other gateway")
        if wrong or missing or time.monotonic() - began > ROUNDS_MAX_S:
            break
    print(f"   {done} rounds of writing, acknowledgement and a view of {wanted} in "
          f"{time.monotonic() - began:.0f} s, {missing} rows missing")
    if missing or done < count:
        wrong.append(f"{done} of {count} rounds, {missing} rows missing")


def remake(c):
    """A view from nothing."""
    c.execute("alter table r set (columnar = off)")
    c.execute("alter table r set (columnar = on)")
    c.execute("refresh columnar view r")


@contextlib.contextmanager
def writing(pair, wrong):
    """A writer on each gateway, which goes on when that is killed."""
    halt = threading.Event()
    written = [0, 0]

    def write(number):
        rand = random.Random(number)
        while not halt.is_set():
            with contextlib.suppress(psycopg.OperationalError), connect(pair[number]) as c:
                while not halt.is_set():
                    row = rand.randrange(1, ROWS)
                    try:
                        views.change(c, "r", "n", row)
                        written[number] += 1
                    except psycopg.OperationalError:
                        raise
                    except psycopg.Error as error:
                        if error.sqlstate not in views.RETRY | UNSURE:
                            wrong.append(f"writer: {error.sqlstate} {error}")
            time.sleep(0.2)

    threads = [threading.Thread(target=write, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        halt.set()
        finish(threads, 120)
        print(f"   beside {sum(written)} transactions of two writers")
        if not all(written):
            wrong.append(f"transactions of the writers: {written}")


def with_writers(pair, seconds, wrong):
    """Refreshes beside writers on both gateways."""
    halt = threading.Event()
    looks, made = [0], []

    def look():
        while not halt.is_set() and not wrong:
            looks[0] += compare(pair[looks[0] % 2], "r", wrong, "beside writers")

    looker = threading.Thread(target=look)
    with writing(pair, wrong):
        looker.start()
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
        finish([looker], 120)
    whole = sum("sstables" in str(m) for m in made)
    print(f"   {looks[0]} looks through both paths beside writers, {len(made)} refreshes, "
          f"{whole} of them from files")
    if not looks[0] or not made:
        wrong.append("nothing was looked at")


def during(pair, agents, wrong, action, what, wanted, by=0):
    """Does something as soon as a snapshot has files, while a gateway makes a view of them. Gives
    the agent whose snapshot it was."""
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
    if wanted is None:
        with contextlib.suppress(psycopg.OperationalError), connect(pair[by]) as c:
            remake(c)
            wrong.append(f"{what}: the view was made all the same")
    else:
        print(f"   {what}: {rebuild(pair, by, wrong, wanted, what)[0]}")
    watcher.join()
    if not hit:
        wrong.append(f"{what}: nothing was done")
    return hit[0] if hit else None


def trouble(cluster, pair, agents, wrong):
    """What goes wrong with an export is made good by another way."""
    # With one node there is no other replica, so rows are read through the store.
    other = "store|sstables" if len(agents) == 1 else "sstables|store"
    killed = during(pair, agents, wrong, lambda agent: agent.kill(), "an agent killed in an export",
                    other)
    if killed is not None:
        killed.restart()
        if killed.snapshots():
            wrong.append("a killed agent's snapshots stay after its restart")

    def remove(agent):
        for folder in agent.snapshots():
            shutil.rmtree(folder, ignore_errors=True)

    during(pair, agents, wrong, remove, "a snapshot removed by an operator", other)

    def corrupt(agent):
        for path in agent.snapshots()[0].glob("*-Data.db"):
            # Another file of the same name: the node's own stays as it is.
            content = bytearray(path.read_bytes())
            for at in range(len(content) // 3, len(content), 997):
                content[at] ^= 0x55
            path.unlink()
            path.write_bytes(content)

    during(pair, agents, wrong, corrupt, "a corrupt file in a snapshot", other)


def deaths(cluster, pair, agents, wrong):
    """A gateway dies while it has a view made, and a node while its files are read."""
    during(pair, agents, wrong, lambda _: pair.kill(1), "a gateway killed in its export", None, by=1)
    pair.restart(1)
    made = rebuild(pair, 0, wrong, "sstables|store", "after a gateway's death")
    print(f"   a gateway killed in its export, then by the other: {made[0]}")
    if len(agents) == 1:
        return
    last = agents[-1]

    def kill_node(_):
        last.node.signal(signal.SIGKILL)
        last.node.process.wait()

    during(pair, agents, wrong, kill_node, "a node killed in an export", "sstables|store")
    made = rebuild(pair, 1, wrong, "sstables|store", "a node that is down")
    print(f"   a node that is down: {made[0]}")
    until(lambda: not last.snapshots(), "snapshots of a node that is down to go")
    last.node.start()
    last.node.wait_ready()
    cluster.wait_joined()
    # Its JMX port is another now, and its agent's nodetool with it.
    last.end()
    last.restart()
