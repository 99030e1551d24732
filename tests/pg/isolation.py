"""Sessions beside each other: tests/isolation/*.txt step by step on PostgreSQL and on Sluice.

    isolation.py [name …] [--show]

A script has lines `N sql` (session N runs sql), `every sql` (before the first step of each run)
and `levels L, …`; what is not named runs at all three. `LEVEL` in a statement is the level. A
step that does not end at once is said to wait, and its end is told when it comes. The transcripts
must be equal. Where a level may have either of two transactions give up (`serializable`), only
that the committed ones have a serial order is asked: the rows at the end must be among those of
`serial …` lines.
"""

import argparse
import difflib
import pathlib
import queue
import sys
import threading

import psycopg

from servers import ROOT, postgres, sluice

LEVELS = ["read committed", "repeatable read", "serializable"]
WAIT_S = (0.5, 2.5)
"""A step that takes longer waits for somebody. What differs is looked at again with more patience:
a slow disk is nobody, and a deadlock is looked for after a second."""
END_S = 20
"""Whatever waits at the end of a script must end within this."""


class Script:
    def __init__(self, path):
        self.name, self.levels, self.setup, self.steps = path.stem, LEVELS, [], []
        self.final, self.serial = None, []
        for number, line in enumerate(path.read_text().splitlines(), 1):
            word, _, rest = line.strip().partition(" ")
            if not word or word.startswith("#"):
                continue
            if word == "levels":
                self.levels = [level.strip() for level in rest.split(",")]
            elif word == "every":
                self.setup.append(rest)
            elif word == "final":
                self.final = rest
            elif word == "serial":
                self.serial.append(rest)
            elif word.isdigit():
                self.steps.append((int(word), rest))
            else:
                raise ValueError(f"{path.name}:{number}: {line}")


class Session(threading.Thread):
    """A connection that runs one statement after the other and says how each ended."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.connection = psycopg.connect(server.dsn(), autocommit=True)
        self.todo, self.done = queue.Queue(), queue.Queue()
        self.busy = False
        self.start()

    def run(self):
        while (sql := self.todo.get()) is not None:
            try:
                cursor = self.connection.execute(sql)
                rows = cursor.fetchall() if cursor.description else None
                text = cursor.statusmessage
                if rows is not None:
                    text += "".join(f" {row}" for row in rows)
            except psycopg.Error as error:
                text = f"{error.sqlstate} {error.diag.message_primary}"
            self.done.put(text)

    def begin(self, sql):
        self.busy = True
        self.todo.put(sql)

    def ended(self, timeout):
        """How the running statement ended; none if it has not."""
        try:
            text = self.done.get(timeout=timeout)
        except queue.Empty:
            return None
        self.busy = False
        return text

    def close(self):
        self.todo.put(None)
        self.connection.close()


def run(server, script, level, wait):
    """The transcript, and the rows at the end."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for sql in script.setup:
            connection.execute(sql)
    sessions = {n: Session(server) for n in sorted({n for n, _ in script.steps})}
    lines = []

    def told(but, timeout):
        for n, session in sessions.items():
            if session.busy and n != but and (text := session.ended(timeout)) is not None:
                lines.append(f"{n} … {text}")

    for n, sql in script.steps:
        sql = sql.replace("LEVEL", level)
        session = sessions[n]
        if session.busy and (text := session.ended(END_S)) is not None:
            lines.append(f"{n} … {text}")
        session.begin(sql)
        text = session.ended(wait)
        lines.append(f"{n} {sql}: {text or 'waits'}")
        told(n, wait)
    told(None, END_S)
    stuck = [n for n, session in sessions.items() if session.busy]
    if stuck:
        lines.append(f"sessions {stuck} never ended")
    for session in sessions.values():
        session.close()
    final = None
    if script.final and not stuck:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            final = " ".join(str(row) for row in connection.execute(script.final).fetchall())
    return lines, final


def compare(script, level, peer, ours, show):
    """Whether all is well; prints what is not."""
    name = f"{script.name}, {level}"
    if level == "serializable" and script.serial:
        mine, final = run(ours, script, level, WAIT_S[0])
        good = final in script.serial
        if not good:
            print(f"{name}: no serial order ends with {final}\n  " + "\n  ".join(mine))
    else:
        for wait in WAIT_S:
            mine, _ = run(ours, script, level, wait)
            theirs, _ = run(peer, script, level, wait)
            good = theirs == mine
            if good:
                break
        if not good:
            print(f"{name}: differs")
            print("\n".join(difflib.unified_diff(theirs, mine, peer.name, ours.name, lineterm="")))
    if show:
        print(f"{name}\n  " + "\n  ".join(mine))
    return good


def histories(peer, ours, names=(), show=False):
    """How many histories are not as they should be."""
    paths = sorted((ROOT / "tests/isolation").glob("*.txt"))
    scripts = [Script(p) for p in paths if not names or p.stem in names]
    if not scripts:
        sys.exit(f"no such script in {pathlib.Path('tests/isolation')}")
    ended = [compare(script, level, peer, ours, show)
             for script in scripts for level in script.levels]
    bad = ended.count(False)
    print(f"{len(ended) - bad} histories as they should be, {bad} not")
    return bad


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("names", nargs="*")
    arguments.add_argument("--show", action="store_true")
    arguments = arguments.parse_args()
    with postgres() as peer, sluice() as ours:
        sys.exit(histories(peer, ours, arguments.names, arguments.show) > 0)


if __name__ == "__main__":
    main()
