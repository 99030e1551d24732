"""Starts Spark with the Cassandra connector or Iceberg, from the jars in $SPARK_LIB, and asks it."""

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
HEAP = "2g"
START_TIMEOUT_S = 180
ASK_TIMEOUT_S = 1800
TROUBLE_MAX = 1500
# What Spark 3.5 needs of a Java 17: its own launcher's list.
OPENED = ["java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio",
          "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref",
          "sun.nio.ch", "sun.nio.cs", "sun.security.action", "sun.util.calendar"]


class Spark:
    """A session, whose catalog `cluster` has the keyspaces, or `views` Iceberg tables."""

    def __init__(self, process, log):
        self.process, self.log = process, log
        _, ready = self.read(START_TIMEOUT_S)
        self.version = ready.removeprefix("ready ")

    def read(self, seconds):
        """The rows up to the line that ends them, and what that says."""
        rows = []
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        try:
            for text in self.process.stdout:
                if text.startswith("-- "):
                    return rows, text[3:].strip()
                if text.startswith("!! "):
                    raise RuntimeError(f"Spark: {text[3:TROUBLE_MAX]}")
                rows.append(json.loads(text, parse_float=str))
        finally:
            timer.cancel()
        raise RuntimeError(f"Spark has ended:\n{self.log.read_text()[-4000:]}")

    def ask(self, sql):
        """A statement's rows as dictionaries, numbers with a fraction as text; and its seconds."""
        self.process.stdin.write(" ".join(sql.split()) + "\n")
        self.process.stdin.flush()
        rows, took = self.read(ASK_TIMEOUT_S)
        return rows, float(took)


def spark(cluster, consistency="QUORUM"):
    """One for a cluster of tests/cluster/nodes.py."""
    host, port = cluster.contact_points().split(",")[0].split(":")
    return started(host, port, consistency)


@contextlib.contextmanager
def started(*arguments):
    """One by the arguments of Ask.java. Its process is gone afterwards."""
    jars = pathlib.Path(os.environ.get("SPARK_LIB", "no-spark"))
    if not any(jars.glob("spark-cassandra-connector_*.jar")):
        raise SystemExit(f"no Spark in {jars}; setup_spark of tests/setup.sh gets it")
    with tempfile.TemporaryDirectory(prefix="sluice-spark-") as folder:
        log = pathlib.Path(folder) / "log"
        opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED]
        with open(log, "w") as out:
            process = subprocess.Popen(
                ["java", *opened, f"-Xmx{HEAP}", f"-Djava.io.tmpdir={folder}",
                 f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}",
                 "-Djdk.reflect.useDirectMethodHandle=false", "-cp", f"{jars}/*",
                 HERE / "Ask.java", *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, text=True, cwd=folder,
            )
        try:
            yield Spark(process, log)
        finally:
            process.kill()
            process.wait()
