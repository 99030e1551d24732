#!/usr/bin/env python3
"""Writes what PostgreSQL answers into the case files of this folder.

    createdb binder && psql -d binder -f schema.sql
    ./record.py HOST_OR_SOCKET_DIR PORT USER binder *.txt

A case is lines `> SQL`, then what Describe of the statement gives: `columns`, `params`, or `error`
with `detail` and `hint`. Lines that begin with `ours ` say what Sluice answers instead, and stay.
"""
import socket, struct, sys


class Connection:
    def __init__(self, host, port, user, database):
        if host.startswith("/"):
            self.s = socket.socket(socket.AF_UNIX)
            self.s.connect(f"{host}/.s.PGSQL.{port}")
        else:
            self.s = socket.create_connection((host, int(port)))
        self.buf = b""
        body = struct.pack("!i", 196608)
        options = {"user": user, "database": database, "client_encoding": "UTF8", "TimeZone": "UTC"}
        for k, v in options.items():
            body += k.encode() + b"\0" + v.encode() + b"\0"
        body += b"\0"
        self.s.sendall(struct.pack("!i", len(body) + 4) + body)
        self.until_ready()

    def message(self):
        while len(self.buf) < 5 or len(self.buf) < 1 + struct.unpack("!i", self.buf[1:5])[0]:
            chunk = self.s.recv(65536)
            if not chunk:
                raise SystemExit("connection lost")
            self.buf += chunk
        size = 1 + struct.unpack("!i", self.buf[1:5])[0]
        kind, body, self.buf = self.buf[:1], self.buf[5:size], self.buf[size:]
        return kind, body

    def until_ready(self):
        out = []
        while True:
            kind, body = self.message()
            out.append((kind, body))
            if kind == b"Z":
                return out

    def send(self, kind, body):
        self.s.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def describe(self, sql):
        self.send(b"P", b"\0" + sql.encode() + b"\0" + struct.pack("!h", 0))
        self.send(b"D", b"S\0")
        self.send(b"S", b"")
        return self.until_ready()

    def query(self, sql):
        self.send(b"Q", sql.encode() + b"\0")
        rows = []
        for kind, body in self.until_ready():
            if kind == b"E":
                raise SystemExit(f"{sql}: {fields(body)}")
            if kind == b"D":
                n, at, row = struct.unpack("!h", body[:2])[0], 2, []
                for _ in range(n):
                    size = struct.unpack("!i", body[at : at + 4])[0]
                    at += 4
                    row.append(None if size < 0 else body[at : at + size].decode())
                    at += max(size, 0)
                rows.append(row)
        return rows


def fields(body):
    parts = body.split(b"\0")
    return {p[:1].decode(): p[1:].decode() for p in parts if p}


types = {}


def type_name(connection, oid, typmod=-1):
    if (oid, typmod) not in types:
        types[oid, typmod] = connection.query(f"select format_type({oid}, {typmod})")[0][0]
    return types[oid, typmod]


def answer(connection, sql):
    out = []
    for kind, body in connection.describe(sql):
        if kind == b"E":
            f = fields(body)
            at = f" at {f['P']}" if "P" in f else ""
            lines = [f"error {f['C']}{at}: {f['M']}"]
            lines += [f"detail {f['D']}"] if "D" in f else []
            lines += [f"hint {f['H']}"] if "H" in f else []
            return lines
        if kind == b"t":
            n = struct.unpack("!h", body[:2])[0]
            oids = struct.unpack(f"!{n}I", body[2:])
            if n:
                out.append(("params", oids))
        if kind == b"T":
            n, at, columns = struct.unpack("!h", body[:2])[0], 2, []
            for _ in range(n):
                end = body.index(b"\0", at)
                name = body[at:end].decode()
                _, _, oid, _, typmod, _ = struct.unpack("!IhIhih", body[end + 1 : end + 19])
                at = end + 19
                columns.append((name, oid, typmod))
            out.append(("columns", columns))
    lines = []
    for kind, items in out:
        if kind == "params":
            lines.append("params " + ", ".join(type_name(connection, oid) for oid in items))
        else:
            items = [f"{name} {type_name(connection, oid, mod)}" for name, oid, mod in items]
            lines.append(("columns " + ", ".join(items)).rstrip())
    return lines


def main():
    host, port, user, database, *files = sys.argv[1:]
    connection = Connection(host, port, user, database)
    for name in files:
        blocks = []
        for block in open(name, encoding="utf-8").read().split("\n\n"):
            lines = [l for l in block.split("\n") if l]
            sql = "\n".join(l[2:] for l in lines if l.startswith("> "))
            kept = [l for l in lines if l.startswith(("> ", "# ", "ours "))]
            if sql:
                cut = [l for l in kept if not l.startswith("ours ")]
                ours = [l for l in kept if l.startswith("ours ")]
                kept = cut + answer(connection, sql) + ours
            if kept:
                blocks.append("\n".join(kept))
        with open(name, "w", encoding="utf-8") as f:
            f.write("\n\n".join(blocks) + "\n")


main()
