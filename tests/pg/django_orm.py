"""An application on Django (tests/pg/orm) with PostgreSQL and with Sluice: the same answers."""

import pathlib
import subprocess
import sys

from copy_binary import check
from servers import postgres, sluice

SESSION = pathlib.Path(__file__).parent / "orm" / "session.py"
TIMEOUT_S = 300


def answers(server):
    command = [sys.executable, str(SESSION), str(server.port), server.user, server.database]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode != 0:
        sys.exit(f"{server.name}: {done.stderr[-4000:]}")
    return dict(line.split("\t", 1) for line in done.stdout.splitlines())


def main():
    with postgres() as pg, sluice() as ours:
        theirs, mine = answers(pg), answers(ours)
    ok = [check(name, theirs[name] == mine.get(name), theirs[name], mine.get(name))
          for name in theirs]
    sys.exit(0 if all(ok) else 1)


if __name__ == "__main__":
    main()
