"""Both paths at one snapshot while rows change: inside each transaction rows and columns must
agree, whatever writers and refreshes do beside it.

    busy.py [--seconds 20]
"""

import argparse
import sys
import threading
import time

from servers import sluice

ROWS = 20_000
LOOK = (
    "select /*+ READ_FROM_STORAGE({}[t]) */ count(*), sum(amount), sum(id), min(note), max(note), "
    "count(note) from t;"
)


def writer(server, number, stop, errors):
    """Updates, deletes and inserts in transactions of their own, some of them rolled back."""
    at = 0
    while not stop.is_set():
        script = ""
        for _ in range(20):
            at += 1
            row = (at * 7919 + number * 104729) % (ROWS * 2)
            script += (
                f"begin; update t set amount = amount + {at % 13}, note = 'w{number}-{at}' "
                f"where id between {row} and {row + 20}; delete from t where id = {row + 7};"
                f"insert into t values ({row + 7}, {at}, null), ({ROWS * 3 + row}, 1, 'x') "
                f"on conflict (id) do update set amount = t.amount + 1; "
                + ("rollback;" if at % 5 == 0 else "commit;") + "\n"
            )
        text = server.psql(script, check=False)
        errors.extend(line for line in text.splitlines() if "ERROR" in line and "deadlock" not in line)


def refresher(server, stop, errors):
    while not stop.is_set():
        text = server.psql("refresh columnar view t;", check=False)
        errors.extend(line for line in text.splitlines() if "ERROR" in line)
        time.sleep(0.5)


def look(server, level, own):
    change = "update t set amount = amount + 1000 where id < 50; delete from t where id = 51;"
    script = (
        f"begin isolation level {level};\n" + (change if own else "") + LOOK.format("ROW")
        + LOOK.format("COLUMNAR") + "select pg_sleep(0.05);" + LOOK.format("COLUMNAR")
        + LOOK.format("ROW") + "rollback;\n"
    )
    lines = server.psql(script, "-At", check=False).splitlines()
    return [line for line in lines if line]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=float, default=20)
    options = arguments.parse_args()
    errors, wrong, looks = [], 0, 0
    with sluice() as ours:
        ours.psql(
            "create table t (id int primary key, amount numeric(12, 2), note text)"
            " with (columnar = on);"
            f"insert into t select x, x * 0.5, 'n' || x from generate_series(1, {ROWS}) x;"
        )
        # A snapshot from before the first view has none.
        ours.psql("refresh columnar view t;")
        stop = threading.Event()
        threads = [threading.Thread(target=writer, args=(ours, n, stop, errors)) for n in range(2)]
        threads.append(threading.Thread(target=refresher, args=(ours, stop, errors)))
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + options.seconds
        while time.monotonic() < deadline:
            level = "serializable" if looks % 3 == 0 else "repeatable read"
            found = look(ours, level, looks % 2 == 1)
            retry = any("could not serialize" in line for line in found)
            looks += 1
            if not retry and (len(found) != 4 or len(set(found)) != 1):
                wrong += 1
                print("WRONG", level, found)
        stop.set()
        for thread in threads:
            thread.join()
    for error in sorted(set(errors))[:5]:
        print(error)
    print(f"{looks} looks, {wrong} wrong, {len(errors)} errors of writers")
    sys.exit(1 if wrong or errors or not looks else 0)


if __name__ == "__main__":
    main()
