"""Money moved between accounts through several gateways by concurrent clients, while gateways
and nodes are killed or stopped. What must hold:

- every snapshot that any client reads has the same sum;
- every transfer that was acknowledged is in the ledger, none that was refused is;
- an unknown outcome is told as such, or the connection is lost;
- after each fault every client commits again within `BACK_S`; after something came back, within
  three times that: a node that starts takes its neighbours' processors for a while.
"""

import collections
import contextlib
import random
import threading
import time

import psycopg

from gateways import finish

ACCOUNTS = 40
START_MONEY = 1000
BACK_S = 10.0
# 72000: a snapshot of a gateway that was retired.
RETRY = {"40001", "40P01", "55P03", "72000"}
# What leaves it open whether the transfer took place.
UNKNOWN = {"40003", "08007"}


class Bank:
    """The clients' shared state."""

    def __init__(self, servers):
        self.servers = servers
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.acknowledged, self.refused = set(), set()
        # Transfers of which nobody knows, with what they move.
        self.unknown = {}
        self.counts = collections.Counter()
        self.wrong = []
        self.last_commit = {}

    def create(self, server):
        with psycopg.connect(server.dsn(), autocommit=True) as c:
            c.execute("create table accounts (id int primary key, money int not null)")
            c.execute("create table ledger (id bigint primary key, a int, b int, amount int)")
            c.execute(
                f"insert into accounts select x, {START_MONEY} from generate_series(1, {ACCOUNTS}) x"
            )

    def client(self, number):
        """Transfers, and now and then a look at the sum, until told to stop."""
        rng, transfer, connection = random.Random(number), number * 1_000_000_000, None
        while not self.stop.is_set():
            transfer += 1
            try:
                if connection is None or connection.closed:
                    server = self.servers[number % len(self.servers.servers)]
                    connection = psycopg.connect(server.dsn(), connect_timeout=5, autocommit=True)
                    connection.execute("set lock_timeout = '5s'")
                if rng.random() < 0.15:
                    self.look(connection, rng)
                else:
                    self.transfer(connection, rng, transfer)
                self.last_commit[number] = time.monotonic()
            except psycopg.Error as error:
                self.note(error, transfer)
                if error.sqlstate is None or error.sqlstate[:2] in ("08", "57"):
                    with contextlib.suppress(Exception):
                        connection.close()
                    connection = None
                    time.sleep(0.1)

    def transfer(self, c, rng, transfer):
        a, b = rng.sample(range(1, ACCOUNTS + 1), 2)
        amount = rng.randint(1, 50)
        level = rng.choice(["read committed", "repeatable read", "serializable"])
        committing = False
        try:
            c.execute(f"begin isolation level {level}")
            if level == "serializable":
                have = c.execute("select money from accounts where id = %s", (a,)).fetchone()[0]
                c.execute("update accounts set money = %s where id = %s", (have - amount, a))
            else:
                c.execute("update accounts set money = money - %s where id = %s", (amount, a))
            c.execute("update accounts set money = money + %s where id = %s", (amount, b))
            c.execute("insert into ledger values (%s, %s, %s, %s)", (transfer, a, b, amount))
            committing = True
            c.execute("commit")
        except psycopg.Error as error:
            lost = error.sqlstate is None or error.sqlstate[:2] in ("08", "57")
            with self.lock:
                open_end = error.sqlstate in UNKNOWN or (lost and committing)
                if open_end:
                    self.unknown[transfer] = a, b, amount
                else:
                    self.refused.add(transfer)
            if not lost:
                with contextlib.suppress(psycopg.Error):
                    c.execute("rollback")
            raise
        with self.lock:
            self.acknowledged.add(transfer)
            self.counts["committed"] += 1

    def look(self, c, rng):
        if rng.random() < 0.5:
            total = c.execute("select sum(money) from accounts").fetchone()[0]
        else:
            c.execute("begin isolation level repeatable read read only")
            rows = [c.execute("select money from accounts where id = %s", (n,)).fetchone()[0]
                    for n in range(1, ACCOUNTS + 1)]
            c.execute("commit")
            total = sum(rows)
        self.counts["sums"] += 1
        if total != ACCOUNTS * START_MONEY:
            with self.lock:
                self.wrong.append(f"a snapshot had the sum {total}")

    def note(self, error, _):
        state = error.sqlstate or "lost"
        with self.lock:
            self.counts[state] += 1
            known = state in RETRY or state in UNKNOWN or state == "lost" or state[:2] in ("08", "57")
            if not known:
                self.wrong.append(f"{state}: {error}")

    def check(self, server):
        """Compares what clients were told with what is there."""
        with psycopg.connect(server.dsn(), autocommit=True) as c:
            total = c.execute("select sum(money) from accounts").fetchone()[0]
            ledger = {row[0]: row[1:] for row in c.execute("select id, a, b, amount from ledger")}
            balances = dict(c.execute("select id, money from accounts").fetchall())
        if total != ACCOUNTS * START_MONEY:
            self.wrong.append(f"the sum is {total}")
        expected = dict.fromkeys(balances, START_MONEY)
        for a, b, amount in ledger.values():
            expected[a] -= amount
            expected[b] += amount
        if expected != balances:
            found = {n: balances[n] - expected[n] for n in balances if balances[n] != expected[n]}
            unsure = {n: what for n, what in self.unknown.items() if n not in ledger}
            self.wrong.append(f"balances are not what the ledger says: {found} more; in doubt and "
                              f"not in it: {unsure}")
        lost = self.acknowledged - ledger.keys()
        if lost:
            self.wrong.append(f"{len(lost)} acknowledged transfers are lost: {sorted(lost)[:5]}")
        ghosts = self.refused & ledger.keys()
        if ghosts:
            self.wrong.append(f"{len(ghosts)} refused transfers took place: {sorted(ghosts)[:5]}")
        self.counts["in doubt, took place"] = len(self.unknown.keys() & ledger.keys())
        self.counts["in doubt, did not"] = len(self.unknown.keys() - ledger.keys())

    def wait_back(self, who):
        """Seconds until each of these clients has committed once more."""
        began = time.monotonic()
        while time.monotonic() < began + 4 * BACK_S:
            if all(self.last_commit.get(n, 0) > began for n in who):
                return time.monotonic() - began
            time.sleep(0.05)
        self.wrong.append(f"no service {4 * BACK_S} s after a fault")
        return time.monotonic() - began


@contextlib.contextmanager
def clients(bank, count):
    """Clients at work."""
    threads = [threading.Thread(target=bank.client, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        bank.stop.set()
        finish(threads, 120)


def run(gateways, seconds, count=8, faults=()):
    """The workload; `faults` are functions that hurt something and mend it, in turns."""
    bank = Bank(gateways)
    bank.create(gateways[0])
    with clients(bank, count):
        time.sleep(seconds / 3)
        for name, hurt, who in faults:
            bank.counts["faults"] += 1
            hurt()
            back = bank.wait_back([n for n in range(count) if who(n)])
            print(f"   {name}: service back after {back:.1f} s")
            if back > (BACK_S if name.startswith(("kill", "SIGSTOP")) else 3 * BACK_S):
                bank.wrong.append(f"{name}: service back only after {back:.1f} s")
            time.sleep(seconds / 3)
        time.sleep(seconds / 3)
    bank.check(gateways[0])
    print("   " + ", ".join(f"{name}: {n}" for name, n in sorted(bank.counts.items())))
    return bank.wrong
