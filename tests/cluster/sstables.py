"""Files that Cassandra wrote, flushed and compacted, read by `sluice sstable`, beside its SELECT.

    sstables.py [--fixtures FOLDER] [FORMAT…]

Tables of all types are written in several rounds, each flushed into files of its own: rows are
overwritten, deleted, left to expire. The rows of all files together have to be those of SELECT,
in the same order, before and after a compaction. Formats are those of Cassandra 5.0 and 6.0; as a
part of run.py it takes the one that 5.0 writes by itself.
With --fixtures it writes the small tables that the library's own tests read (tests/sstables).
"""

import argparse
import csv
import datetime
import decimal
import io
import ipaddress
import json
import pathlib
import random
import shutil
import struct
import subprocess
import time
import uuid

from cassandra.cluster import Cluster as Driver
from cassandra.util import Date, Duration, Time
from gateways import sluice_binary
from nodes import cassandra

KEYSPACE = "sst"
# Without the node's own compactions: the test says when.
MANUAL = "compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': false}"
CSV_TABLES = ["scalars_lz4", "collections", "statics", "dropped"]
# Seconds until what expires during the test has expired.
SHORT_TTL_S = 4
LONG_TTL_S = 100_000
# Beyond it a number is no 32-bit float.
FLOAT_MAX = 1e38

SCALARS = {
    "a": "ascii", "b": "bigint", "bl": "blob", "bo": "boolean", "da": "date", "de": "decimal",
    "db": "double", "du": "duration", "fl": "float", "i": "inet", "n": "int", "s": "smallint",
    "t": "text", "ti": "time", "ts": "timestamp", "tu": "timeuuid", "ty": "tinyint", "u": "uuid",
    "vi": "varint",
}
# Types whose order is not that of their bytes, or that have a form of their own as keys.
KEYS = ["varint", "decimal", "double", "timeuuid", "uuid", "inet", "date", "boolean", "tinyint",
        "timestamp", "text", "blob", "frozen<list<int>>", "frozen<map<int, text>>",
        "frozen<set<double>>", "frozen<tuple<int, text>>", "frozen<person>", "time", "smallint",
        "float", "vector<int, 2>", "frozen<set<varint>>"]
# What makes a node write each format: its jars, and its settings.
FORMATS = {
    "nb": ("CASSANDRA_LIB", ""),
    "oa": ("CASSANDRA_LIB", "storage_compatibility_mode: NONE"),
    "da": ("CASSANDRA_LIB", "storage_compatibility_mode: NONE\nsstable: {selected_format: bti}"),
    "pa": ("CASSANDRA_NEXT_LIB", ""),
    "ea": ("CASSANDRA_NEXT_LIB", "sstable: {selected_format: bti}"),
}
COMPRESSIONS = {
    "lz4": "{'class': 'LZ4Compressor', 'chunk_length_in_kb': 4}",
    "snappy": "{'class': 'SnappyCompressor'}",
    "deflate": "{'class': 'DeflateCompressor'}",
    "zstd": "{'class': 'ZstdCompressor', 'compression_level': 3}",
    "none": "{'enabled': false}",
    "raw": "{'class': 'LZ4Compressor', 'min_compress_ratio': 4}",
}
# Of Cassandra 6.0: by a dictionary that is trained from the table's first file.
DICTIONARY_BYTES_MIN = 8000
DICTIONARY = "{'class': 'ZstdDictionaryCompressor', 'chunk_length_in_kb': 4}"


def value(rng, cql):
    """A random value of a type; some of its extremes."""
    short = rng.choice(["", "a", "it's", 'say "so"', "ü€😀", "x,y", "line\nbreak", "word" * 20])
    whole = rng.choice([0, 1, -1, rng.getrandbits(60), -rng.getrandbits(200), 10**40, 255, -128])
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(
        milliseconds=rng.choice([0, -1, 1_795_000_000_123, -1_795_000_000_123, rng.getrandbits(41)]))
    made = {
        "ascii": lambda: short.encode("ascii", "ignore").decode(),
        "text": lambda: short,
        "blob": lambda: rng.randbytes(rng.choice([0, 1, 20, 300])),
        "boolean": lambda: rng.random() < 0.5,
        "bigint": lambda: rng.choice([0, -(2**63), 2**63 - 1, rng.getrandbits(40)]),
        "int": lambda: rng.choice([0, -(2**31), 2**31 - 1, rng.randrange(100)]),
        "smallint": lambda: rng.choice([0, -(2**15), 2**15 - 1, rng.randrange(100)]),
        "tinyint": lambda: rng.choice([0, -128, 127, rng.randrange(100)]),
        "varint": lambda: whole,
        "decimal": lambda: decimal.Decimal(whole).scaleb(rng.choice([0, -2, -30, 5, 1])),
        "double": lambda: rng.choice([0.0, -0.0, 1.5, -2.25, rng.random(), 1e300, -1e-300]),
        "float": lambda: rng.choice([0.0, 1.5, -2.25, 0.1, 1e10]),
        "date": lambda: Date(rng.choice([0, -1, 20_000, -20_000, rng.randrange(30_000)])),
        "time": lambda: Time(rng.choice([0, 86_399_999_999_999, rng.randrange(86_400 * 10**9)])),
        "timestamp": lambda: moment,
        "timeuuid": lambda: uuid.UUID(fields=(rng.getrandbits(32), rng.getrandbits(16),
                                              0x1000 | rng.getrandbits(12), 0x80 | rng.getrandbits(6),
                                              rng.getrandbits(8), rng.getrandbits(48))),
        "uuid": lambda: uuid.UUID(int=rng.getrandbits(128), version=rng.choice([1, 4])),
        "inet": lambda: rng.choice([
            str(ipaddress.IPv4Address(rng.getrandbits(32))), "2001:db8::1", "::1",
            str(ipaddress.IPv6Address(rng.getrandbits(128)))]),
        "duration": lambda: rng.choice([Duration(1, 2, 3), Duration(-14, -2, -3_600_000_000_001),
                                        Duration(0, 0, 0), Duration(25, 0, 86_400_000_000_000)]),
    }
    return made[cql]()


def part(rng, cql):
    """A random value of any type, as the driver takes it for a prepared statement."""
    cql = cql.strip()
    if cql.startswith("frozen<"):
        return part(rng, cql[7:-1])
    if "<" not in cql and cql != "person":
        return value(rng, cql)
    if cql == "person":
        return (rng.choice(["ann", "bob", None]), rng.choice([None, 1, 40]))
    kind, inner = cql[:-1].split("<", 1)
    inner = split(inner)
    if kind == "list":
        return [part(rng, inner[0]) for _ in range(rng.randrange(4))]
    if kind == "set":
        return {part(rng, inner[0]) for _ in range(rng.randrange(4))}
    if kind == "map":
        return {part(rng, inner[0]): part(rng, inner[1]) for _ in range(rng.randrange(4))}
    if kind == "tuple":
        return tuple(rng.choice([None, part(rng, t)]) for t in inner)
    return [part(rng, inner[0]) for _ in range(int(inner[1]))]


def split(text):
    """Type parameters."""
    parts, depth = [""], 0
    for c in text:
        depth += {"<": 1, ">": -1}.get(c, 0)
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [p.strip() for p in parts]


class Tables:
    """What is written, in rounds. Each round adds to every table."""

    def __init__(self, session):
        self.session, self.rng, self.prepared = session, random.Random(7), {}
        self.made = []

    def cql(self, text, *values):
        if not values:
            self.session.execute(text)
            return
        if text not in self.prepared:
            self.prepared[text] = self.session.prepare(text)
        self.session.execute(self.prepared[text], values)

    def table(self, name, columns, more=""):
        options = f"{MANUAL} and {more}" if more else MANUAL
        clustering = ""
        if "|" in columns:
            columns, clustering = columns.split("|")
            clustering = f"clustering order by ({clustering}) and "
        self.cql(f"create table {name} ({columns}) with {clustering}{options}")
        self.made.append(name)

    def make(self, compressions):
        self.cql("create type person (name text, age int)")
        scalars = ", ".join(f"{n} {t}" for n, t in SCALARS.items())
        for name in compressions:
            self.table(f"scalars_{name}", f"k int, c int, {scalars}, primary key (k, c)",
                       f"compression = {COMPRESSIONS[name]}")
        self.table("collections", """k text, c timeuuid, l list<text>, s set<varint>,
            m map<text, int>, p person, fl frozen<list<int>>, fs frozen<set<text>>,
            fm frozen<map<int, frozen<list<text>>>>, fp frozen<person>, tp tuple<int, text, double>,
            v vector<float, 3>, vt vector<text, 2>, ml map<uuid, frozen<person>>,
            lp list<frozen<tuple<int, text>>>, primary key (k, c) | c desc""")
        self.table("statics", """k text, k2 int, a int, b text, s int static,
            sm map<int, text> static, v int, l list<int>,
            primary key ((k, k2), a, b) | a desc, b asc""")
        self.table("counts", "k text, c int, n counter, m counter, primary key (k, c)")
        self.table("times", "k int primary key, a text, b text, s set<int>, n int")
        keys = ", ".join(f"c{n} {t}" for n, t in enumerate(KEYS))
        names = [f"c{n}" for n in range(len(KEYS))]
        order = ", ".join(f"{n} {'desc' if i % 2 else 'asc'}" for i, n in enumerate(names))
        self.table("ordered",
                   f"k int, {keys}, v int, primary key (k, {', '.join(names)}) | {order}")
        self.table("many_columns", "k int primary key, " + ", ".join(
            f"w{n} {'int' if n % 3 else 'set<int>'}" for n in range(90)))
        self.table("dropped", """k int, c int, a int, b text, m map<int, text>, s int static,
            v int, primary key (k, c)""")
        self.table("large", "k int, c int, v blob, primary key (k, c)",
                   f"compression = {COMPRESSIONS['none']}")
        self.choices = [[part(self.rng, t) for _ in range(3)] for t in KEYS]
        self.names = names

    def drop(self, n):
        """Columns are dropped, and one of them is added again."""
        for c in range(4):
            if n == 0:
                self.cql("insert into dropped (k, c, a, b, m, s, v) values (?, ?, ?, ?, ?, ?, ?)",
                         c % 2, c, c, "b", {1: "x"}, 7, c)
                self.cql("update dropped set a = ? where k = ? and c = ?", c, 5, c)
            elif c % 2:
                self.cql("insert into dropped (k, c, a, m) values (?, ?, ?, ?)", 1, c, 100 + c,
                         {2: "y"})
        if n == 0:
            for column in ("a", "b", "m", "s"):
                self.cql(f"alter table dropped drop {column}")
            self.cql("alter table dropped add a int")
            self.cql("alter table dropped add m map<int, text>")

    def trained(self, node):
        """A table compressed by a dictionary of its own."""
        self.table("trained", "k int, c int, t text, u uuid, primary key (k, c)",
                   f"compression = {DICTIONARY}")
        for part in range(2):
            for n in range(3000):
                self.cql("insert into trained (k, c, t, u) values (?, ?, ?, ?)", n % 40, n,
                         f"row {n} of part {part}: " + "common words " * (n % 9),
                         uuid.UUID(int=n * 10**20, version=4))
            node.nodetool("flush", KEYSPACE)
            if part == 0:
                node.nodetool("compressiondictionary", "train", "--force", KEYSPACE, "trained")

    def round(self, n, compressions):
        rng = self.rng
        for name in compressions:
            self.scalars(f"scalars_{name}", n)
        self.collections(n)
        self.statics(n)
        self.times(n)
        self.drop(n)
        for _ in range(40):
            self.cql("update counts set n = n + ?, m = m - 1 where k = ? and c = ?",
                     rng.randrange(-5, 100), f"k{rng.randrange(5)}", rng.randrange(4))
        if n == 1:
            self.cql("delete n from counts where k = 'k1' and c = 1")
            self.cql("delete from counts where k = 'k2'")
        for _ in range(60):
            row = [rng.choice(c) for c in self.choices]
            marks = ", ".join("?" for _ in row)
            self.cql(f"insert into ordered (k, {', '.join(self.names)}, v) values (?, {marks}, ?)",
                     rng.randrange(3), *row, rng.randrange(100))
        for depth in (1, 2, 4):
            row = [c[0] for c in self.choices[:depth]]
            where = " and ".join(f"{c} = ?" for c in self.names[:depth])
            if n == depth % 3:
                self.cql(f"delete from ordered where k = ? and {where}", depth % 3, *row)
        self.cql("delete from ordered where k = ? and c0 > ? and c0 <= ?", n, -3, 1)
        for k in range(30):
            chosen = rng.sample(range(90), rng.choice([1, 3, 40, 44, 45, 46, 70, 90]))
            names = ", ".join(f"w{c}" for c in chosen)
            values = [rng.randrange(9) if c % 3 else {rng.randrange(9)} for c in chosen]
            self.cql(f"insert into many_columns (k, {names}) values "
                     f"(?, {', '.join('?' for _ in chosen)})", k % 25, *values)
        for c in range(30):
            size = rng.choice([10, 70_000, 300_000])
            self.cql("insert into large (k, c, v) values (?, ?, ?)", 1, n * 20 + c,
                     rng.randbytes(size))

    def scalars(self, table, n):
        rng = self.rng
        names = list(SCALARS)
        for _ in range(80):
            chosen = rng.sample(names, rng.randrange(len(names)))
            marks = ", ".join("?" for _ in chosen)
            columns = "".join(f", {c}" for c in chosen)
            ttl = rng.choice(["", "", "", f" using ttl {SHORT_TTL_S}", f" using ttl {LONG_TTL_S}"])
            self.cql(f"insert into {table} (k, c{columns}) values (?, ?{', ' * bool(chosen)}"
                     f"{marks}){ttl}", rng.randrange(8), rng.randrange(10),
                     *[rng.choice([None, *[value(rng, SCALARS[c])] * 5]) for c in chosen])
        if n:
            for _ in range(10):
                self.cql(f"delete {rng.choice(names)} from {table} where k = ? and c = ?",
                         rng.randrange(8), rng.randrange(10))
                self.cql(f"delete from {table} where k = ? and c = ?",
                         rng.randrange(8), rng.randrange(10))
            self.cql(f"delete from {table} where k = ? and c > ? and c <= ?", n, 2, 6)
            self.cql(f"delete from {table} where k = ? and c >= ?", n + 1, 8)
            self.cql(f"delete from {table} where k = ?", n + 2)
            self.cql(f"insert into {table} (k, c, n) values (?, ?, ?)", n + 2, 3, 3)
            # A cell without its row.
            self.cql(f"update {table} set n = 5 where k = ? and c = ?", 20 + n, 1)
            self.cql(f"update {table} set n = null where k = ? and c = ?", 20, 1)

    def collections(self, n):
        rng = self.rng
        columns = {"l": "list<text>", "s": "set<varint>", "m": "map<text, int>", "p": "person",
                   "fl": "list<int>", "fs": "set<text>", "fm": "map<int, frozen<list<text>>>",
                   "fp": "person", "tp": "tuple<int, text, double>", "v": "vector<float, 3>",
                   "vt": "vector<text, 2>", "ml": "map<uuid, frozen<person>>",
                   "lp": "list<tuple<int, text>>"}
        ids = [uuid.UUID(f"{i:08x}-0000-1000-8000-00000000000{i}") for i in range(6)]
        for _ in range(60):
            key = (f"p{rng.randrange(4)}", rng.choice(ids))
            chosen = rng.sample(list(columns), rng.randrange(1, len(columns)))
            self.cql(f"insert into collections (k, c, {', '.join(chosen)}) values "
                     f"(?, ?, {', '.join('?' for _ in chosen)})", *key,
                     *[rng.choice([None, *[part(rng, columns[c])] * 6]) for c in chosen])
            where = "where k = ? and c = ?"
            for text, args in [
                ("update collections set l = l + ?", [["end"]]),
                ("update collections set l = ? + l", [["front", "two"]]),
                ("update collections set s = s + ?", [{rng.randrange(9)}]),
                ("update collections set s = s - ?", [{rng.randrange(9)}]),
                ("update collections set m[?] = ?", ["key", rng.choice([None, 3])]),
                ("update collections set p.age = ?", [rng.choice([None, 9])]),
                ("update collections using ttl %d set m[?] = ?" % SHORT_TTL_S, ["brief", 1]),
                ("delete m[?] from collections", ["key"]),
            ]:
                if rng.random() < 0.3:
                    self.cql(f"{text} {where}", *args, *key)
        if n == 2:
            self.cql("delete l, p from collections where k = 'p1'" +
                     f" and c = {ids[1]}")

    def statics(self, n):
        rng = self.rng
        for _ in range(40):
            key = (f"s{rng.randrange(5)}", rng.randrange(2))
            choice = rng.randrange(5)
            if choice == 0:
                self.cql("insert into statics (k, k2, s, sm) values (?, ?, ?, ?)", *key,
                         rng.choice([None, rng.randrange(9)]), {rng.randrange(3): "v"})
            elif choice == 1:
                self.cql("update statics set sm[?] = ? where k = ? and k2 = ?", rng.randrange(3),
                         rng.choice(["w", None]), *key)
            else:
                self.cql("insert into statics (k, k2, a, b, v, l) values (?, ?, ?, ?, ?, ?)", *key,
                         rng.randrange(4), rng.choice("xyz"), rng.randrange(9), [1, 2])
        self.cql("insert into statics (k, k2, s) values (?, ?, ?)", f"only{n}", 0, n)
        self.cql("insert into statics (k, k2, s) values (?, ?, ?) using ttl %d" % SHORT_TTL_S,
                 f"brief{n}", 0, n)
        self.cql("delete from statics where k = ? and k2 = ? and a = ?", f"s{n}", 0, 2)
        self.cql("delete from statics where k = ? and k2 = ? and a > ? and a < ?", f"s{n}", 1, 0, 3)
        self.cql("delete from statics where k = ? and k2 = ? and (a, b) >= (1, 'y')", "s4", 1)
        self.cql("delete s from statics where k = ? and k2 = ?", f"s{n + 1}", 0)
        if n == 1:
            self.cql("delete from statics where k = ? and k2 = ?", "s3", 0)

    def times(self, n):
        """Cells and deletions of the same time: which counts does not depend on the order."""
        insert = "insert into times (k, a, b, n) values (?, ?, ?, ?) using timestamp 1000"
        for k in range(12):
            self.cql(insert, k, f"{(k * 7 + n * 5) % 11}", "b" * ((k + n) % 3), n - 1)
        self.cql(insert + " and ttl %d" % LONG_TTL_S, 12 if n == 1 else 13, "expiring", "", n)
        for k in (12, 13):
            self.cql(insert, k, "not", "zzz", 99 - n)
        ttl = f" and ttl {LONG_TTL_S + n}"
        self.cql(insert + ttl, 14, f"{n}", f"{2 - n}", n)
        if n == 1:
            at = "using timestamp 1000 where k ="
            self.cql(f"delete a from times {at} 0")
            self.cql(f"delete from times {at} 1")
            self.cql("delete from times using timestamp 999 where k = 2")
            self.cql(f"update times using timestamp 1000 set s = {{1, 2}} where k = 3")
            self.cql(f"update times using timestamp 999 set s = {{1, 2}} where k = 4")
        if n == 2:
            self.cql("update times using timestamp 1001 set s = s + {3} where k = 3")
            self.cql("delete s from times using timestamp 1000 where k = 3")
            self.cql(f"update times using timestamp 5 and ttl {SHORT_TTL_S} set n = 3 where k = 30")
            self.cql("insert into times (k) values (31)")
            self.cql(f"insert into times (k, n) values (32, 1) using ttl {SHORT_TTL_S}")
            self.cql("update times set n = 2 where k = 32")


def exact(text):
    """JSON with its numbers as they are."""
    return json.loads(text, parse_float=decimal.Decimal, parse_int=decimal.Decimal)


def narrowed(v):
    """Numbers as 32-bit floats: Java writes some of them with more digits than they need."""
    if isinstance(v, dict):
        return {k: narrowed(x) for k, x in v.items()}
    if isinstance(v, list):
        return [narrowed(x) for x in v]
    if isinstance(v, decimal.Decimal) and abs(v) < FLOAT_MAX:
        return struct.unpack(">f", struct.pack(">f", float(v)))[0]
    return v


def shortest(v):
    """A float as the shortest text that reads back; one of 32 bits as such."""
    if abs(v) < FLOAT_MAX and struct.unpack(">f", struct.pack(">f", v))[0] == v:
        texts = (f"{v:.{digits}g}" for digits in range(1, 10))
        v = next(float(t) for t in texts
                 if struct.unpack(">f", struct.pack(">f", float(t)))[0] == v)
    return repr(v).replace("e+", "e")


def addresses(v):
    """Java writes the zeros of an address out."""
    if isinstance(v, str):
        try:
            return str(ipaddress.ip_address(v))
        except ValueError:
            pass
    return v


def plain(v, nested=False):
    """A driver's value in the text form of the CSV."""
    if v is None:
        return "null" if nested else ""
    if isinstance(v, str):
        return "'" + v.replace("'", "''") + "'" if nested else v
    if isinstance(v, float):
        return shortest(v)
    if isinstance(v, bytes):
        return "0x" + v.hex()
    if isinstance(v, datetime.datetime):
        return v.strftime("%Y-%m-%d %H:%M:%S.%f+0000")
    if isinstance(v, Time):
        return str(v) if "." in str(v) else f"{v}.000000000"
    if isinstance(v, tuple) and hasattr(v, "_fields"):
        return "{" + ", ".join(f"{n}: {plain(x, True)}" for n, x in zip(v._fields, v)) + "}"
    if isinstance(v, tuple):
        return "(" + ", ".join(plain(x, True) for x in v) + ")"
    if isinstance(v, list):
        return "[" + ", ".join(plain(x, True) for x in v) + "]"
    if hasattr(v, "items"):
        return "{" + ", ".join(f"{plain(k, True)}: {plain(x, True)}" for k, x in v.items()) + "}"
    if hasattr(v, "isdisjoint"):
        return "{" + ", ".join(plain(x, True) for x in v) + "}"
    return str(v)


def read(folder, *flags):
    done = subprocess.run([str(sluice_binary()), "sstable", "dump", *flags, str(folder)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    if done.returncode:
        return None, done.stderr.decode()
    return done.stdout.decode(), None


class Check:
    """Compares what is in the files with what the node answers."""

    def __init__(self, cluster, session):
        self.cluster, self.session = cluster, session
        self.data = cluster.nodes[0].folder / "data" / KEYSPACE
        self.wrong, self.rows = [], 0

    def folder(self, table):
        found = [f for f in self.data.iterdir() if f.name.rsplit("-", 1)[0] == table]
        return max(found, key=lambda f: f.stat().st_mtime)

    def keys(self, table):
        about = self.session.cluster.metadata.keyspaces[KEYSPACE].tables[table]
        return ",".join(c.name for c in about.primary_key)

    def json(self, table, when):
        about = self.session.cluster.metadata.keyspaces[KEYSPACE].tables[table]
        kinds = {name: c.cql_type for name, c in about.columns.items()}
        text, error = read(self.folder(table), "--format", "json", "--keys", self.keys(table))
        if error:
            self.wrong.append(f"{table} {when}: {error}")
            return
        asked = [r[0] for r in self.session.execute(f"select json * from {table}", timeout=60)]
        got = text.splitlines()
        self.rows += len(got)
        if len(asked) != len(got):
            self.wrong.append(f"{table} {when}: {len(got)} rows, not {len(asked)}")
        for ours, theirs in zip(got, asked):
            mine, node = exact(ours), exact(theirs)
            if list(mine) != list(node):
                self.wrong.append(f"{table} {when}: columns {list(mine)}, not {list(node)}")
                return
            for name, kind in kinds.items():
                a, b = mine[name], node[name]
                if "float" in kind:
                    a, b = narrowed(a), narrowed(b)
                if kind == "inet":
                    a, b = addresses(a), addresses(b)
                if a != b:
                    self.wrong.append(f"{table} {when}: {name} {kind} is {a!r}, not {b!r}"[:900])
                    return

    def csv(self, table, when, folder=None):
        """Names of key columns come from what lies beside the files."""
        text, error = read(folder or self.folder(table))
        if error:
            self.wrong.append(f"{table} {when}: {error}")
            return
        result = self.session.execute(f"select * from {table}", timeout=60)
        asked = [list(result.column_names)]
        asked += [[plain(v) for v in row] for row in result]
        got = list(csv.reader(io.StringIO(text, newline="")))
        # The driver has a form of durations of its own.
        left_out = [n for n, name in enumerate(result.column_names) if name == "du"]
        for mine, node in zip(got, asked):
            for n in left_out:
                mine[n] = node[n] = ""
            if mine != node:
                self.wrong.append(f"{table} {when}: {mine}, not {node}"[:900])
                return
        if len(got) != len(asked):
            self.wrong.append(f"{table} {when}: {len(got)} lines, not {len(asked)}")

    def all(self, tables, when):
        for table in tables:
            self.json(table, when)
        for table in CSV_TABLES:
            self.csv(table, when)


def connect(cluster):
    driver = Driver([cluster.nodes[0].host], port=cluster.port)
    return driver, driver.connect()


def compare(cluster, compressions):
    """All tables, in rounds, in the format that the node writes."""
    driver, session = connect(cluster)
    node = cluster.nodes[0]
    try:
        session.execute(f"create keyspace {KEYSPACE} with replication = "
                        "{'class': 'SimpleStrategy', 'replication_factor': 1}")
        session.set_keyspace(KEYSPACE)
        tables = Tables(session)
        tables.make(compressions)
        check = Check(cluster, session)
        for n in range(3):
            tables.round(n, compressions)
            node.nodetool("flush", KEYSPACE)
        if cluster.variable == "CASSANDRA_NEXT_LIB":
            tables.trained(node)
        node.nodetool("flush", "system_schema")
        time.sleep(SHORT_TTL_S + 1)
        check.all(tables.made, "in three files")
        node.nodetool("compact", KEYSPACE)
        check.all(tables.made, "compacted")
        if "trained" in tables.made:
            # The dictionary is in the file, or this says nothing of it.
            infos = check.folder("trained").glob("*-CompressionInfo.db")
            sizes = [f.stat().st_size for f in infos]
            if max(sizes) < DICTIONARY_BYTES_MIN:
                check.wrong.append(f"trained: no dictionary in files of {sizes} bytes")
        node.nodetool("snapshot", "-t", "now", KEYSPACE)
        for table in CSV_TABLES:
            place = node.folder / f"snapshot_{table}"
            shutil.move(check.folder(table) / "snapshots" / "now", place)
            check.csv(table, "in a snapshot", place)
        files = sorted(p.name for p in check.folder("times").glob("*-Data.db"))
        print(f"   {len(tables.made)} tables, {check.rows} rows compared, files like {files[0]}")
        return check.wrong
    finally:
        driver.shutdown()


def run(cluster, _):
    """The format that Cassandra 5.0 writes by itself."""
    if len(cluster.nodes) > 1:
        print("   left out: the files of one node are not all rows")
        return []
    return compare(cluster, list(COMPRESSIONS))


def formats(name):
    """One format, on a node of its own."""
    variable, more = FORMATS[name]
    with cassandra(more=more, variable=variable) as cluster:
        return [f"{name}: {text}" for text in compare(cluster, list(COMPRESSIONS))]


# The small tables: compression of each format, and what is written into the first file and into the
# second. Times of writing are given, so that the files say the same whenever they are made.
FIXTURE_COMPRESSIONS = dict(zip(FORMATS, ["lz4", "zstd", "snappy", "none", "deflate"]))
FIXTURE_TABLE = """k text, c int, d text, s int static, st set<text> static, v text, n int,
    m map<text, int>, l list<int>, p person, f frozen<list<int>>, u varint,
    primary key (k, c, d)"""
FIXTURE_ROWS = [
    [
        "insert into t (k, c, d, v, n, m, l, p, f, u) values ('all', 1, 'a', 'old', 1, "
        "{'x': 1, 'y': 2}, [1, 2], {name: 'ann', age: 3}, [7], 12345678901234567890) {at} 100",
        "insert into t (k, c, d, v, n) values ('all', 2, 'b', 'kept', 2) {at} 100",
        "insert into t (k, s, st) values ('all', 5, {'p', 'q'}) {at} 100",
        "insert into t (k, c, d, v) values ('gone', 1, 'a', 'x') {at} 100",
        "insert into t (k, s) values ('only static', 9) {at} 100",
        "insert into t (k, c, d, n) values ('range', 1, 'a', 1) {at} 100",
        "insert into t (k, c, d, n) values ('range', 2, 'a', 2) {at} 100",
        "insert into t (k, c, d, n) values ('range', 2, 'b', 3) {at} 100",
        "insert into t (k, c, d, n) values ('range', 3, 'a', 4) {at} 100",
        "insert into t (k, c, d, v, n) values ('ttl', 1, 'a', 'stays', 1) {at} 100",
        "update t {at} 100 and ttl 300000000 set n = 2 where k = 'ttl' and c = 2 and d = 'a'",
        "insert into t (k, c, d, v) values ('tie', 1, 'a', 'a') {at} 100",
        "insert into t (k, c, d, v) values ('tie', 2, 'a', 'same time') {at} 100",
        "insert into t (k, c, d, v) values ('%s', 1, 'a', 'long key') {at} 100" % ("k" * 300),
    ],
    [
        "insert into t (k, c, d, v) values ('all', 1, 'a', 'new') {at} 200",
        "update t {at} 200 set m['z'] = 3, l = l + [3], p.age = 4 "
        "where k = 'all' and c = 1 and d = 'a'",
        "delete m['x'] from t {at} 200 where k = 'all' and c = 1 and d = 'a'",
        "delete n from t {at} 50 where k = 'all' and c = 2 and d = 'b'",
        "delete from t {at} 200 where k = 'gone'",
        "delete from t {at} 200 where k = 'range' and c = 2",
        "delete from t {at} 200 where k = 'range' and c > 2 and c <= 3",
        "insert into t (k, c, d, n) values ('range', 3, 'z', 5) {at} 300",
        "update t {at} 200 and ttl 300000000 set n = 8 where k = 'ttl' and c = 1 and d = 'a'",
        "insert into t (k, c, d, v) values ('tie', 1, 'a', 'b') {at} 100",
        "delete v from t {at} 100 where k = 'tie' and c = 2 and d = 'a'",
    ],
]


def fixture(name, folder):
    """Writes one format's small table: two files, and what SELECT JSON says of them."""
    variable, more = FORMATS[name]
    # Else what is slow to compress is flushed by LZ4.
    more += "\nflush_compression: table"
    target = pathlib.Path(folder) / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with cassandra(more=more, variable=variable) as cluster:
        driver, session = connect(cluster)
        session.execute(f"create keyspace {KEYSPACE} with replication = "
                        "{'class': 'SimpleStrategy', 'replication_factor': 1}")
        session.set_keyspace(KEYSPACE)
        session.execute("create type person (name text, age int)")
        compression = COMPRESSIONS[FIXTURE_COMPRESSIONS[name]]
        session.execute(f"create table t ({FIXTURE_TABLE}) with compression = {compression} "
                        f"and {MANUAL}")
        for rows in FIXTURE_ROWS:
            for row in rows:
                session.execute(row.replace("{at}", "using timestamp"))
            cluster.nodes[0].nodetool("flush", KEYSPACE)
        lines = [row[0] for row in session.execute("select json * from t")]
        (target / "expected.json").write_text("\n".join(lines) + "\n")
        wanted = ["Data", "Statistics", "CompressionInfo", "Digest", "CRC"]
        for file in Check(cluster, session).folder("t").iterdir():
            if any(f"-{component}." in file.name for component in wanted):
                shutil.copy(file, target)
        driver.shutdown()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--fixtures")
    arguments.add_argument("formats", nargs="*", choices=[*FORMATS, []])
    options = arguments.parse_args()
    wrong = []
    for name in options.formats or FORMATS:
        print(f"-- {name}", flush=True)
        if options.fixtures:
            fixture(name, options.fixtures)
        else:
            wrong += formats(name)
    print("\n".join(wrong) or "ok")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
