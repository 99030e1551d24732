"""Rows of an SSTable per second of processor time, beside the SELECT of the node that wrote it.

The node is asked over a bare socket that does not decode the rows, five thousand at a time, after
it has been asked once before; what counts is the processor time of the whole node. Sluice reads
the same file: into Arrow, and on into zstd Parquet.
"""

import datetime
import os
import pathlib
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

from cassandra.cluster import Cluster as Driver  # noqa: E402
from cassandra.concurrent import execute_concurrent_with_args  # noqa: E402
from gateways import sluice_binary  # noqa: E402
from nodes import cassandra  # noqa: E402

ROWS = int(os.environ.get("BENCH_SSTABLE_ROWS", "100000"))
ROWS_PER_PARTITION = 100
PAGE_ROWS = 5000
WAITS = 40
TEXTS, TEXT_BYTES, NUMBERS = 9, 60, 6
# The columns after the key: texts, numbers, an id and a time, about 700 bytes together.
COLUMNS = [*[(f"t{n}", "text") for n in range(TEXTS)], *[(f"n{n}", "double") for n in range(NUMBERS)],
           *[(f"i{n}", "bigint") for n in range(4)], ("u", "uuid"), ("at", "timestamp"),
           ("ok", "boolean")]


class Asked:
    """Speaks enough of CQL's protocol, version 4, to count the rows of a SELECT."""

    STARTUP, QUERY, RESULT, ROWS = 1, 7, 8, 2
    SKIP_METADATA, PAGE_SIZE, PAGING_STATE = 2, 4, 8
    HAS_MORE = 2

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port))
        key, value = b"CQL_VERSION", b"3.0.0"
        self.send(self.STARTUP, struct.pack(">HH", 1, len(key)) + key + struct.pack(">H", len(value))
                  + value)

    def send(self, opcode, body):
        self.socket.sendall(struct.pack(">BBHBI", 4, 0, 0, opcode, len(body)) + body)
        head = self.receive(9)
        body = self.receive(struct.unpack(">I", head[5:])[0])
        return head[4], body

    def receive(self, n):
        parts, left = [], n
        while left:
            part = self.socket.recv(min(left, 1 << 20))
            if not part:
                raise RuntimeError("the node has closed the connection")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def count(self, query):
        query = struct.pack(">I", len(query)) + query.encode()
        state, rows = None, 0
        while True:
            flags = self.SKIP_METADATA | self.PAGE_SIZE | (self.PAGING_STATE if state else 0)
            body = query + struct.pack(">HBI", 1, flags, PAGE_ROWS)
            body += struct.pack(">I", len(state)) + state if state else b""
            opcode, got = self.send(self.QUERY, body)
            if opcode != self.RESULT or struct.unpack(">I", got[:4])[0] != self.ROWS:
                raise RuntimeError(f"no rows: {got[:200]!r}")
            flags = struct.unpack(">I", got[4:8])[0]
            at, state = 12, None
            if flags & self.HAS_MORE:
                length = struct.unpack(">I", got[at:at + 4])[0]
                state = got[at + 4:at + 4 + length]
                at += 4 + length
            rows += struct.unpack(">I", got[at:at + 4])[0]
            if state is None:
                return rows


def load(cluster):
    """One table of one file."""
    driver = Driver([cluster.nodes[0].host], port=cluster.port)
    session = driver.connect()
    session.execute("create keyspace bench with replication = "
                    "{'class': 'SimpleStrategy', 'replication_factor': 1}")
    names = ", ".join(f"{n} {t}" for n, t in COLUMNS)
    session.execute(f"create table bench.t (k int, c int, {names}, primary key (k, c))")
    insert = session.prepare(
        f"insert into bench.t (k, c, {', '.join(n for n, _ in COLUMNS)}) values "
        f"(?, ?{', ?' * len(COLUMNS)})")
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghij klmnop", k=TEXT_BYTES)) for _ in range(500)]
    at = datetime.datetime(2026, 1, 1)
    ids = [uuid.UUID(int=rng.getrandbits(128), version=4) for _ in range(1000)]

    def rows():
        for n in range(ROWS):
            yield (n // ROWS_PER_PARTITION, n % ROWS_PER_PARTITION,
                   *rng.choices(words, k=TEXTS), *[rng.random() for _ in range(NUMBERS)],
                   n, n * 7, rng.getrandbits(40), 5, rng.choice(ids), at, n % 2 == 0)

    execute_concurrent_with_args(session, insert, rows(), concurrency=100)
    driver.shutdown()
    cluster.nodes[0].nodetool("flush", "bench")
    cluster.nodes[0].nodetool("compact", "bench")


def cpu_of(pid):
    """Seconds that a process has computed."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid):
    """MiB that a process has had at most so far; it may have ended."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    peak = [text for text in status.splitlines() if text.startswith("VmHWM")]
    return int(peak[0].split()[1]) >> 10 if peak else 0


def bench(line, runs):
    with cassandra() as cluster, tempfile.TemporaryDirectory() as folder:
        load(cluster)
        node = cluster.nodes[0]
        place, = (node.folder / "data" / "bench").iterdir()
        # Files that were compacted away go a little later.
        for _ in range(WAITS):
            if len(list(place.glob("*-Data.db"))) == 1:
                break
            time.sleep(0.5)
        size = sum(f.stat().st_size for f in place.glob("*-Data.db"))
        asked = Asked(node.host, cluster.port)
        asked.count("select * from bench.t")

        def select():
            began = cpu_of(node.process.pid)
            rows = asked.count("select * from bench.t")
            assert rows == ROWS, rows
            return ROWS / (cpu_of(node.process.pid) - began) / 1000

        def dump(*flags):
            process = subprocess.Popen([str(sluice_binary(release=True)), "sstable", "dump", *flags,
                                        str(place)], stdout=subprocess.DEVNULL)
            ended = 0
            while not ended:
                time.sleep(0.01)
                peaks.append(memory_of(process.pid))
                ended, status, used = os.wait4(process.pid, os.WNOHANG)
            assert status == 0, flags
            return ROWS / (used.ru_utime + used.ru_stime) / 1000

        print(f"-- {ROWS} rows, {size / ROWS:.0f} bytes each on disk (LZ4)")
        arrow, parquet, peer, peaks = [], [], [], []
        parquet_flags = ["--format", "parquet", "--output", f"{folder}/rows.parquet"]
        for _ in range(runs):
            peer.append(select())
            arrow.append(dump("--format", "count"))
            parquet.append(dump(*parquet_flags))
        line("SSTable to Arrow, rows per core", arrow, peer, "SELECT *", "k/s", goal=2)
        line("SSTable to Parquet, rows per core", parquet, peer, "SELECT *", "k/s")
        print(f"   at most {max(peaks)} MiB, of a file of {size >> 20} MiB")
