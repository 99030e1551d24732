"""Starts gateways on a Cassandra cluster, as servers that psql and drivers find."""

import contextlib
import pathlib
import subprocess
import sys
import tempfile
import time

import psycopg

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "pg"))

from servers import Server, free_port, sluice_binary, stop, wait_ready  # noqa: E402


def expecting(wrong):
    """A comparison that adds what differs to `wrong`."""
    def expect(what, got, wanted):
        if got != wanted:
            wrong.append(f"{what}: {got!r}, not {wanted!r}")
    return expect


def finish(threads, seconds):
    """Waits for threads; one that does not end stands still, and so does what it waits for."""
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if still := [thread.name for thread in threads if thread.is_alive()]:
        raise RuntimeError(f"not done within {seconds} s: {', '.join(still)}")


def launch(cluster, keyspace, folder, port=None, release=False, flags=()):
    """A gateway's process, as soon as it answers."""
    port = port or free_port()
    log = f"{folder}/gateway-{port}.log"
    with open(log, "a") as out:
        process = subprocess.Popen(
            [str(sluice_binary(release)), "start", "--store", "cassandra",
             "--contact-points", cluster.contact_points(), "--keyspace", keyspace,
             "--listen", f"127.0.0.1:{port}", "--auth", "trust", "--user", "sluice", *flags],
            stdout=out, stderr=out, cwd=folder,
        )
    server = Server("Sluice", port, "sluice", "postgres", process)
    server.log = log
    try:
        wait_ready(server, log)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return server


@contextlib.contextmanager
def gateways(cluster, count=1, keyspace="app", release=False, flags=()):
    """Gateways on one keyspace. `servers[n]` may be replaced by a new one meanwhile. `flags`: those
    of all, or a function of a gateway's number."""
    with tempfile.TemporaryDirectory(prefix="sluice-gateways-") as folder:
        servers = []
        try:
            for n in range(count):
                own = [*near(cluster, n), *flags_of(flags, n)]
                servers.append(launch(cluster, keyspace, folder, release=release, flags=own))
            yield Gateways(cluster, keyspace, folder, servers, release, flags)
        except BaseException:
            for server in servers:
                show_activity(server)
            for log in sorted(pathlib.Path(folder).glob("gateway-*.log")):
                lines = log.read_text().splitlines()
                told = [line for line in lines if "does not do as asked" in line]
                print("\n".join([f"-- {log.name}", *told[:20], "…", *lines[-5:]]))
            raise
        finally:
            for server in servers:
                if server.process.poll() is None:
                    stop(server.process)


def show_activity(server):
    """What its sessions do, for who looks into a failure."""
    print(f"-- sessions of {server.port}")
    try:
        with psycopg.connect(server.dsn(), autocommit=True, connect_timeout=5) as c:
            for row in c.execute("select pid, state, wait_event_type, wait_event, now() - query_start, "
                                 "query from pg_stat_activity").fetchall():
                print("  ", *row)
    except psycopg.Error as error:
        print(f"   {error}")


def flags_of(flags, number):
    return flags(number) if callable(flags) else flags


def near(cluster, number):
    """Gateways are spread over the data centres, and commits agree in the first."""
    if not cluster.datacenters:
        return ()
    names = sorted(set(cluster.datacenters))
    return ("--local-dc", names[number % len(names)], "--home-dc", names[0],
            "--serial-domain", "local_serial")


class Gateways:
    """The gateways of one keyspace."""

    def __init__(self, cluster, keyspace, folder, servers, release, flags=()):
        self.cluster, self.keyspace, self.folder = cluster, keyspace, folder
        self.servers, self.release, self.flags = servers, release, flags

    def __getitem__(self, at):
        return self.servers[at]

    def kill(self, at):
        """kill -9"""
        self.servers[at].process.kill()
        self.servers[at].process.wait()

    def restart(self, at):
        """A new process on the port of one that is gone."""
        port = self.servers[at].port
        self.servers[at] = launch(
            self.cluster, self.keyspace, self.folder, port=port, release=self.release,
            flags=[*near(self.cluster, at), *flags_of(self.flags, at)],
        )
