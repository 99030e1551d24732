"""Starts Cassandra nodes on loopback from the jars in $SLUICE_CACHE, and stops them again."""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_TIMEOUT_S = 150
STOP_TIMEOUT_S = 15
NODETOOL_TIMEOUT_S = 300
RING = 1 << 64

# What a node is told, shared with `sluice demo --cluster`.
LOCAL = pathlib.Path(__file__).parents[2] / "compose" / "local"


def filled(name, **values):
    """A file of LOCAL with values in the place of {names}."""
    text = (LOCAL / name).read_text()
    for key, value in values.items():
        text = text.replace("{" + key + "}", str(value))
    return text


def free_port(host="127.0.0.1"):
    with socket.socket() as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def jars(variable="CASSANDRA_LIB"):
    """The class path; tests/setup.sh fetches it."""
    folder = pathlib.Path(os.environ.get(variable, "no-cassandra"))
    if not any(folder.glob("cassandra-all-*.jar")):
        raise SystemExit(f"no Cassandra in {folder}; setup_cassandra of tests/setup.sh gets it")
    return folder


class Node:
    """One node: a process, its address, its log."""

    def __init__(self, cluster, number, host, token):
        self.cluster, self.host, self.token = cluster, host, token
        self.folder = pathlib.Path(cluster.folder) / f"node{number}"
        self.process, self.jmx_port = None, None

    def start(self):
        folder, cluster = self.folder, self.cluster
        (folder / "conf").mkdir(parents=True, exist_ok=True)
        (folder / "conf" / "cassandra.yaml").write_text(filled(
            "cassandra.yaml", more=cluster.more, folder=folder, host=self.host, token=self.token,
            port=cluster.port, storage_port=cluster.storage_port, seed=cluster.nodes[0].host,
            paxos=cluster.paxos,
            sync="commitlog_sync: batch" if cluster.durable else
            "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms",
            snitch="GossipingPropertyFileSnitch" if cluster.datacenters else "SimpleSnitch",
        ))
        if cluster.datacenters:
            place = cluster.datacenters[cluster.nodes.index(self)]
            (folder / "conf" / "cassandra-rackdc.properties").write_text(f"dc={place}\nrack=r1\n")
        (folder / "conf" / "logback.xml").write_text(filled("logback.xml", folder=folder))
        (folder / "conf" / "logback-off.xml").write_text("<configuration/>")
        self.jmx_port = free_port()
        properties = {
            "cassandra.config": f"file://{folder}/conf/cassandra.yaml",
            "logback.configurationFile": f"{folder}/conf/logback.xml",
            "cassandra.storagedir": folder,
            "cassandra-foreground": "yes",
            "cassandra.jmx.local.port": self.jmx_port,
            "cassandra.ring_delay_ms": 2000,
            "cassandra.skip_wait_for_gossip_to_settle": 0,
            # Makes and drops tables in a third of the time. A node that is killed needs it.
            "cassandra.test.flush_local_schema_changes": str(len(cluster.nodes) > 1).lower(),
            "jdk.attach.allowAttachSelf": "true",
            "java.io.tmpdir": folder,
        }
        flags = [f"-D{name}={value}" for name, value in properties.items()]
        if list(cluster.jars.glob("cassandra-all-4.*")):
            # Made for an older Java: it sets a security manager, and measures by an agent.
            flags += ["-Djava.security.manager=allow",
                      *[f"-javaagent:{jar}" for jar in cluster.jars.glob("jamm-*.jar")]]
        with open(folder / "out", "a") as out:
            self.process = subprocess.Popen(
                ["java", f"@{LOCAL / 'java.options'}", f"-Xms{cluster.heap}",
                 f"-Xmx{cluster.heap}", *flags, "-cp", f"{folder}/conf:{cluster.jars}/*",
                 "org.apache.cassandra.service.CassandraDaemon"],
                stdout=out, stderr=out, cwd=folder, start_new_session=True,
            )

    def wait_ready(self):
        """Until the CQL port answers."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                socket.create_connection((self.host, self.cluster.port), 1).close()
                return
            time.sleep(0.2)
        raise RuntimeError(f"node {self.host} did not answer:\n{self.said()}")

    def tool_jvm(self):
        """What runs Cassandra's tools here."""
        opened = ["java.base/sun.nio.ch", "java.base/jdk.internal.ref"]
        return ["java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:+UseSerialGC",
                *[f"--add-exports={e}=ALL-UNNAMED" for e in opened],
                f"-Dcassandra.storagedir={self.folder}", f"-Dlogback.configurationFile="
                f"{self.folder}/conf/logback-off.xml", "-cp", f"{self.cluster.jars}/*"]

    def nodetool_command(self):
        """What nodetool is here."""
        return [*self.tool_jvm(), "org.apache.cassandra.tools.NodeTool", "-h", "127.0.0.1", "-p",
                str(self.jmx_port)]

    def nodetool(self, *arguments):
        """Cassandra's own administration: `flush`, `compact`, …"""
        done = subprocess.run(
            [*self.nodetool_command(), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=NODETOOL_TIMEOUT_S,
        )
        if done.returncode:
            raise RuntimeError(f"nodetool {' '.join(arguments)}: {done.stdout}")
        return done.stdout

    def said(self):
        parts = [self.folder / "out", self.folder / "system.log"]
        return "\n".join(p.read_text(errors="replace")[-3000:] for p in parts if p.exists())

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(STOP_TIMEOUT_S)


class KeptNodetool:
    """The same commands in one JVM: each takes as long as its work, not the seconds of a start."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port

    def command(self, node):
        """What to call for a node, as it is started now."""
        script = pathlib.Path(self.folder) / f"nodetool-{node.jmx_port}"
        script.write_text(
            f"#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/{self.port}\n"
            f"echo \"-h 127.0.0.1 -p {node.jmx_port} $*\" >&3\n"
            "read -r status <&3\ncat <&3\nexit \"${status:-1}\"\n")
        script.chmod(0o755)
        return str(script)


@contextlib.contextmanager
def kept_nodetool(cluster, folder):
    """nodetool for all nodes, kept until the end."""
    tool = pathlib.Path(__file__).with_name("Tool.java")
    process = subprocess.Popen([*cluster.nodes[0].tool_jvm(), str(tool)], stdout=subprocess.PIPE,
                               text=True)
    try:
        line = process.stdout.readline()
        if not line.startswith("port "):
            raise RuntimeError(f"nodetool was not started: {line}")
        yield KeptNodetool(folder, int(line.split()[1]))
    finally:
        process.kill()
        process.wait()


class Cluster:
    """Nodes that are each other's peers."""

    def __init__(self, folder, count, heap, paxos, more, variable, datacenters=None,
                 durable=False):
        # Whether a node writes its log before it answers. Else one that is killed loses the last
        # tenth of a second, which is lost indeed where it takes a quorum.
        self.durable = durable
        # One for each node; none: all in the one there is without a word.
        self.datacenters = datacenters
        self.folder, self.heap, self.paxos, self.more = folder, heap, paxos, more
        self.variable, self.jars = variable, jars(variable)
        # A loopback network of its own: several runs on one machine do not meet.
        net = f"127.{random.randrange(1, 250)}.{random.randrange(1, 250)}"
        hosts = [f"{net}.{n + 1}" for n in range(count)]
        self.port, self.storage_port = free_port(hosts[0]), free_port(hosts[0])
        tokens = [n * RING // count - RING // 2 for n in range(count)]
        self.nodes = [Node(self, n, h, t) for n, (h, t) in enumerate(zip(hosts, tokens))]

    def add(self):
        """Another node, which joins a ring that has rows already and takes its share of them."""
        hosts = [node.host for node in self.nodes]
        number = len(hosts)
        # In the middle of the widest stretch that one node has.
        tokens = sorted(node.token for node in self.nodes)
        gaps = [(b - a, a) for a, b in zip(tokens, [*tokens[1:], tokens[0] + RING])]
        width, start = max(gaps)
        token = (start + width // 2 + RING // 2) % RING - RING // 2
        node = Node(self, number, f"{hosts[0].rsplit('.', 1)[0]}.{number + 1}", token)
        self.nodes.append(node)
        node.start()
        node.wait_ready()
        return node

    def wait_joined(self):
        """Until every node knows all others; who comes earlier takes the cluster for smaller."""
        from cassandra.cluster import Cluster as Driver
        from cassandra.policies import WhiteListRoundRobinPolicy

        deadline = time.monotonic() + START_TIMEOUT_S
        for node in self.nodes:
            only = WhiteListRoundRobinPolicy([node.host])
            driver = Driver([node.host], port=self.port, load_balancing_policy=only)
            try:
                session = driver.connect()
                while len(session.execute("select peer from system.peers_v2").all()) + 1 < len(
                    self.nodes
                ):
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"node {node.host} does not know all others")
                    time.sleep(0.5)
            finally:
                driver.shutdown()

    @contextlib.contextmanager
    def cql(self, keyspace, timeout_s=10):
        """A session of the driver that reads and writes at QUORUM."""
        from cassandra import ConsistencyLevel
        from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile
        from cassandra.cluster import Cluster as Driver

        quorum = ExecutionProfile(
            consistency_level=ConsistencyLevel.QUORUM, request_timeout=timeout_s)
        driver = Driver([self.nodes[0].host], port=self.port,
                        execution_profiles={EXEC_PROFILE_DEFAULT: quorum})
        try:
            yield driver.connect(keyspace)
        finally:
            driver.shutdown()

    def contact_points(self):
        return ",".join(f"{node.host}:{self.port}" for node in self.nodes)


@contextlib.contextmanager
def cassandra(count=1, heap="1g", paxos="v2", more="", folder=None, before=None,
              variable="CASSANDRA_LIB", datacenters=None, durable=False):
    """A cluster, in a temporary folder. Its processes are gone afterwards, whatever happens.

    `before` may still change it, its addresses known; `variable` says where its jars are."""
    own = folder is None
    folder = folder or tempfile.mkdtemp(prefix="sluice-cassandra-")
    cluster = Cluster(folder, count, heap, paxos, more, variable, datacenters, durable)
    try:
        if before is not None:
            before(cluster)
        for node in cluster.nodes:
            node.start()
            node.wait_ready()
        if count > 1:
            cluster.wait_joined()
        yield cluster
    finally:
        for node in cluster.nodes:
            node.kill()
        if own:
            shutil.rmtree(folder, ignore_errors=True)
