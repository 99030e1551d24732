"""`sluice demo --cluster` as a user runs it, its smoke script, and what is left when it ends; for
longer with a release build, and as many events as the demo sends by itself."""

import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

import psycopg

from gateways import ROOT
from nodes import free_port, jars

READY_TIMEOUT_S = 300
LINES_TIMEOUT_S = 60
END_TIMEOUT_S = 60
LINE = "lightweight transactions/s"
# Events a second: of a debug build, and of a release build, which keeps up for so many lines.
RATE, RATE_LONG, EVENTS = 800, 2_000, 1_000_000
LINES_LONG, RATE_SHARE = 30, 0.95


def processes_of(folder):
    """Those whose command line names a folder."""
    found = []
    for place in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in place.read_bytes():
                found.append(place.parent.name)
    return found


def run(program, long):
    """What was wrong. `program` is the binary."""
    wrong, rate = [], RATE_LONG if long else RATE
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sluice-demo-test-") as folder:
        log = pathlib.Path(folder) / "out"
        with open(log, "w") as out:
            demo = subprocess.Popen(
                [program, "demo", "--cluster", "--cassandra", str(jars()), "--rate", str(rate),
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
            line = wait_for(log, demo, LINE, LINES_TIMEOUT_S)
            print(f"   {line.strip()}")
            if long:
                keeps_up(log, demo, rate, wrong)
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


def keeps_up(log, demo, rate, wrong):
    """As many events a second as were asked for, by the median of its lines from now on."""
    seen = len(lines(log, LINE))
    until = time.monotonic() + LINES_LONG * LINES_TIMEOUT_S
    while len(lines(log, LINE)) < seen + LINES_LONG:
        if demo.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"it fell silent:\n{log.read_text()[-3000:]}")
        time.sleep(0.5)
    last = lines(log, LINE)[seen:]
    rates = [int(re.search(r", (\d+)/s", line).group(1)) for line in last]
    print(f"   {statistics.median(rates):.0f} ({min(rates)}-{max(rates)}) events/s by "
          f"{len(rates)} lines, the last one:\n   {last[-1].strip()}")
    if statistics.median(rates) < rate * RATE_SHARE:
        wrong.append(f"{statistics.median(rates)} of {rate} events/s")


def lines(log, mark):
    return [line for line in log.read_text().splitlines() if mark in line]


def wait_for(log, demo, mark, seconds):
    """The last line of a log that has a mark, as soon as there is one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := lines(log, mark):
            return found[-1]
        if demo.poll() is not None:
            break
        time.sleep(0.5)
    raise RuntimeError(f"no line with “{mark}” in {seconds} s:\n{log.read_text()[-3000:]}")
