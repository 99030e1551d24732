"""`sluice demo --cluster` as a user runs it, its smoke script, and what is left when it ends."""

import contextlib
import os
import pathlib
import subprocess
import tempfile
import time

import psycopg

from gateways import ROOT
from nodes import free_port, jars

READY_TIMEOUT_S = 300
LINES_TIMEOUT_S = 60
END_TIMEOUT_S = 60
RATE, EVENTS = 800, 1_000_000


def processes_of(folder):
    """Those whose command line names a folder."""
    found = []
    for place in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in place.read_bytes():
                found.append(place.parent.name)
    return found


def run(program):
    """What was wrong. `program` is the binary."""
    wrong = []
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sluice-demo-test-") as folder:
        log = pathlib.Path(folder) / "out"
        with open(log, "w") as out:
            demo = subprocess.Popen(
                [program, "demo", "--cluster", "--cassandra", str(jars()), "--rate", str(RATE),
                 "--events", str(EVENTS), "--listen", f"127.0.0.1:{port}"],
                stdout=out, stderr=subprocess.STDOUT,
                # However few the events are, agents make a view that is made anew.
                env=dict(os.environ, TMPDIR=folder, SLUICE_SSTABLE_ROWS="0"),
            )
        try:
            wait_for(log, demo, "The fleet reports from now on", READY_TIMEOUT_S)
            url = f"postgres://demo@127.0.0.1:{port}/demo"
            path = f"{os.environ['PG_BIN']}:{os.environ['PATH']}"
            smoke = subprocess.run(
                [ROOT / "compose" / "smoke.sh", url], text=True, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=300, env=dict(os.environ, PATH=path),
            )
            print("   " + smoke.stdout.strip().replace("\n", "\n   "))
            if smoke.returncode:
                wrong.append(f"smoke.sh ended with {smoke.returncode}")
            made_by_agents(url, wrong)
            line = wait_for(log, demo, "lightweight transactions/s", LINES_TIMEOUT_S)
            print(f"   {line.strip()}")
        except RuntimeError as error:
            wrong.append(str(error))
        finally:
            demo.terminate()
            try:
                demo.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                wrong.append(f"it does not end in {END_TIMEOUT_S} s after SIGTERM")
                demo.kill()
                demo.wait()
        if demo.returncode:
            wrong.append(f"it ended with {demo.returncode}: {log.read_text()[-2000:]}")
        left = processes_of(folder)
        if left:
            wrong.append(f"processes {left} are left")
        names = [p.name for p in pathlib.Path(folder).iterdir() if p != log]
        if names:
            wrong.append(f"files are left: {names}")
    return wrong


def made_by_agents(url, wrong):
    """The view made anew comes from the node's files, and shows what rows show."""
    look = ("select /*+ READ_FROM_STORAGE({}[events]) */ count(*), max(event_time) from demo.events "
            "where event_time < now() - interval '2 seconds'")
    with psycopg.connect(url, autocommit=True) as c:
        c.execute("alter table demo.events set (columnar = off)")
        c.execute("alter table demo.events set (columnar = on)")
        c.execute("refresh columnar view demo.events")
        source = c.execute("select source from pg_stat_columnar_views "
                           "where relname = 'events'").fetchone()
        c.execute("begin isolation level repeatable read")
        columns, rows = (c.execute(look.format(path)).fetchone() for path in ("COLUMNAR", "ROW"))
        print(f"   made anew: {source[0]}; {rows[0]} events")
        if rows != columns:
            wrong.append(f"rows {rows}, columns {columns}")
        if "sstables of 1 of 1 nodes" not in source[0]:
            wrong.append(f"the view comes from {source[0]}")


def wait_for(log, demo, mark, seconds):
    """The last line of a log that has a mark, as soon as there is one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        lines = [line for line in log.read_text().splitlines() if mark in line]
        if lines:
            return lines[-1]
        if demo.poll() is not None:
            break
        time.sleep(0.5)
    raise RuntimeError(f"no line with “{mark}” in {seconds} s:\n{log.read_text()[-3000:]}")
