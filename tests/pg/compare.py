"""Runs every script of tests/sql through psql on PostgreSQL and on Sluice; the output must be the
same to the letter: rows, column names, command tags, notices, errors with their positions.

    compare.py [--open] [NAME…]

`--open` runs the scripts of tests/sql/open instead: what is known to differ still. There it fails
when one does not: it belongs among the others then.
"""

import argparse
import difflib
import pathlib
import sys

from servers import ROOT, postgres, sluice

SCRIPTS = ROOT / "tests" / "sql"
PREPARE = "\\set VERBOSITY default\n\\set SHOW_CONTEXT never\n\\pset null '<NULL>'\n"


def fresh_schema(server):
    tables = server.rows(
        "select quote_ident(tablename) from pg_tables where schemaname = 'public' order by 1"
    )
    for table in tables:
        server.psql(f"drop table {table} cascade;")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--release", action="store_true")
    arguments.add_argument("--open", action="store_true")
    arguments.add_argument("names", nargs="*")
    options = arguments.parse_args()
    scripts = sorted((SCRIPTS / "open" if options.open else SCRIPTS).glob("*.sql"))
    if options.names:
        scripts = [s for s in scripts if s.stem in options.names]
    failed = []
    with postgres() as pg, sluice(release=options.release) as ours:
        for script in scripts:
            text = PREPARE + script.read_text()
            expected = pg.psql(text, "-e", check=False)
            got = ours.psql(text, "-e", check=False)
            if expected == got:
                print(f"ok      {script.name}")
            else:
                failed.append(script.name)
                print(f"differs {script.name}")
                diff = difflib.unified_diff(
                    expected.splitlines(), got.splitlines(), "PostgreSQL", "Sluice", lineterm="",
                )
                print("\n".join(list(diff)[:200]))
            fresh_schema(pg)
            fresh_schema(ours)
    print(f"{len(scripts) - len(failed)} of {len(scripts)} scripts equal")
    if options.open:
        sys.exit(0 if len(failed) == len(scripts) else 1)
    sys.exit(1 if failed or not scripts else 0)


if __name__ == "__main__":
    main()
