"""Faults of a cluster and of its gateways, each beside the bank's clients and its checker.

- `quorum`: too few nodes answer. Statements end with an error that says so within `TOLD_S`, nobody
  is told a false outcome, and all works again by itself.
- `retired`: a gateway stands still for longer than its lease. It joins again by itself; what its
  transactions and sessions had locked is known to be void.
- `topology`: a node joins, is repaired, and leaves again.
- `rolling`: gateways stop and start one after the other, as in an upgrade.
"""

import signal
import time

import psycopg

import bank

# Within which a statement tells that the cluster does not answer.
TOLD_S = 12.0
# How long the cluster stays away.
AWAY_S = 14.0
# A gateway stands still for this long; its lease is three seconds.
STILL_S = 8.0


def outage(pair, hurt, mend, wrong):
    """Takes nodes away for a while; what statements on both gateways say meanwhile."""
    hurt()
    began = time.monotonic()
    for server in pair.servers:
        for sql in ("select sum(money) from accounts", "select money from accounts where id = 1",
                    "update accounts set money = money where id = 2"):
            at = time.monotonic()
            try:
                with psycopg.connect(server.dsn(), connect_timeout=30, autocommit=True) as c:
                    c.execute(sql)
                wrong.append(f"without a quorum, {sql}: it answers")
            except psycopg.Error as error:
                took = time.monotonic() - at
                print(f"   {sql}: {error.sqlstate or 'no connection'} after {took:.1f} s")
                hint = error.diag.message_hint if error.sqlstate else "no connection"
                if error.sqlstate not in (None, "08006", "57P03", "40003") or not hint:
                    wrong.append(f"without a quorum, {sql}: {error.sqlstate} {error} ({hint})")
                if took > TOLD_S:
                    wrong.append(f"without a quorum, {sql}: told after {took:.1f} s")
    time.sleep(max(0, AWAY_S - (time.monotonic() - began)))
    mend()


def quorum(pair, cluster, seconds, kill):
    """Stops as many nodes as a quorum cannot spare; kills and restarts them too, if told."""
    nodes = cluster.nodes[1:] if len(cluster.nodes) > 1 else cluster.nodes
    wrong = []

    def stop(signals):
        for node in nodes:
            for number in signals:
                node.signal(number)

    def kill_all():
        if len(cluster.nodes) == 1:
            # Not written by itself on one node: see `flush_local_schema_changes` in nodes.py.
            nodes[0].nodetool("flush", "system_schema")
        stop([signal.SIGKILL])

    def restart():
        for node in nodes:
            node.process.wait()
            node.start()
        for node in nodes:
            node.wait_ready()

    faults = [("the quorum back from SIGSTOP", lambda: outage(
        pair, lambda: stop([signal.SIGSTOP]), lambda: stop([signal.SIGCONT]), wrong), everybody)]
    if kill:
        faults.append(("the quorum back from kill -9", lambda: outage(
            pair, kill_all, restart, wrong), everybody))
    return bank.run(pair, seconds, faults=faults) + wrong


def everybody(_):
    return True


def retired(pair, seconds):
    """A gateway that is retired while it stands still joins again."""
    wrong = []

    def stand_still():
        with psycopg.connect(pair[1].dsn(), autocommit=True) as holder, \
                psycopg.connect(pair[1].dsn()) as waiter:
            holder.execute("select pg_advisory_lock(7)")
            waiter.execute("update notes set n = n + 1 where id = 1")
            pair[1].process.send_signal(signal.SIGSTOP)
            time.sleep(STILL_S)
            with psycopg.connect(pair[0].dsn(), autocommit=True) as other:
                other.execute("update notes set n = n + 10 where id = 1")
                if other.execute("select pg_try_advisory_lock(7)").fetchone() != (True,):
                    wrong.append("an advisory lock of a gateway that is gone")
            pair[1].process.send_signal(signal.SIGCONT)
            told = None
            try:
                waiter.commit()
            except psycopg.Error as error:
                told = error.sqlstate
            if told != "08006":
                wrong.append(f"a transaction that lost its locks: {told}")
            try:
                while True:
                    holder.execute("select 1")
                    time.sleep(0.1)
            except psycopg.OperationalError:
                if not holder.closed:
                    wrong.append("a session that lost an advisory lock goes on")

    with psycopg.connect(pair[0].dsn(), autocommit=True) as c:
        c.execute("create table notes (id int primary key, n int)")
        c.execute("insert into notes values (1, 0)")
    process = pair[1].process
    wrong += bank.run(pair, seconds, faults=[("SIGSTOP of a gateway, SIGCONT", stand_still, everybody)])
    if pair[1].process is not process or process.poll() is not None:
        wrong.append("the gateway ended")
    with psycopg.connect(pair[1].dsn(), autocommit=True) as c:
        if (row := c.execute("select n from notes").fetchone()) != (10,):
            wrong.append(f"the transaction without its locks: {row}")
    return wrong


def topology(pair, cluster, seconds):
    """The ring grows by a node, is repaired, and shrinks again."""
    def leave():
        node = cluster.nodes[-1]
        # A node that leaves two behind is one of three replicas of Cassandra's own keyspaces.
        node.nodetool("decommission", "--force")
        node.kill()
        cluster.nodes.pop()

    def repair():
        cluster.nodes[-1].nodetool("repair", "-full", pair.keyspace)

    faults = [("bootstrap of a node", cluster.add, everybody),
              ("repair of a node", repair, everybody),
              ("decommission of a node", leave, everybody)]
    return bank.run(pair, seconds, faults=faults)


def rolling(pair, seconds):
    """Each gateway is told to stop and started again, in turns."""
    def restart(at):
        def stop_and_start():
            pair[at].process.send_signal(signal.SIGTERM)
            pair[at].process.wait(30)
            pair.restart(at)
        return stop_and_start

    faults = [(f"restart of gateway {n % 2}", restart(n % 2), everybody) for n in range(4)]
    return bank.run(pair, seconds, faults=faults)
