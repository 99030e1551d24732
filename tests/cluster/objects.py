"""Views in S3: two gateways on one cluster share a bucket, on a server that is slow, refuses, loses
answers and goes away. Rows and columns agree throughout, and the bucket has what is named."""

import contextlib
import json
import os
import re
import threading
import time
import unittest.mock

import psycopg

from agents import compare, connect, source, until
from buckets import BUCKET, Store
from gateways import gateways, launch
from servers import free_port, stop

KEYSPACE = "objects"
URL = f"s3://{BUCKET}/base"
ROWS, RACES = 500, 4
# More than a single request carries.
LARGE_ROWS, LARGE_BYTES = 20, 600_000
# How long a refresh may take to say that there is no store.
REFUSAL_S = 45
# Longer than superseded generations stay, on the server's clock.
SUPERSEDED_S = 400


def run(cluster):
    """What went wrong."""
    wrong = []
    store = Store(free_port())
    with contextlib.ExitStack() as stack:
        stack.callback(store.stop)
        stack.enter_context(unittest.mock.patch.dict(os.environ, store.environment()))
        pair = stack.enter_context(
            gateways(cluster, 2, keyspace=KEYSPACE, flags=["--view-store", URL]))
        for part in (shared, races, superseded, large, lost_answers, slow, away, mistaken, dropped):
            began = time.monotonic()
            part(cluster, pair, store, wrong)
            print(f"   {part.__name__}: {time.monotonic() - began:.1f} s, "
                  f"{len(store.names())} objects, {store.names('.json')[-1:]}")
            store.faults.reset()
    return wrong


def refresh(server, table="r"):
    """None, or the error."""
    with connect(server) as c:
        try:
            c.execute(f"refresh columnar view {table}")
        except psycopg.Error as error:
            return error
    return None


def both(pair, wrong, what, table="r"):
    """Both paths agree on both gateways."""
    for server in pair.servers:
        compare(server, table, wrong, what)


def change(server):
    with connect(server) as c:
        c.execute("update r set n = n + 1 where id between 10 and 30")


def shared(_cluster, pair, store, wrong):
    """What one gateway makes, the other takes."""
    with connect(pair[0]) as a:
        a.execute("create table r (id int primary key, n int, note text)")
        a.execute(f"insert into r select x, 0, 'n' || x from generate_series(1, {ROWS}) x")
        a.execute("alter table r set (columnar = on)")
        a.execute("refresh columnar view r")
    until(lambda: source(pair[1], "r")[1] == source(pair[0], "r")[1], "a shared generation")
    both(pair, wrong, "shared")
    made = {name for name in store.names(".parquet")}
    change(pair[1])
    until(lambda: refresh(pair[1]) is None, "a second generation")
    both(pair, wrong, "changed")
    if not made or not made < set(store.names(".parquet")):
        wrong.append(f"files of the first generation {made}, then {store.names('.parquet')}")


def races(_cluster, pair, store, wrong):
    """Of two builders one wins, and the other has its generation."""
    for n in range(RACES):
        change(pair[n % 2])
        errors = []
        threads = [threading.Thread(target=lambda s=s: errors.append(refresh(s)))
                   for s in pair.servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wrong += [f"a race: {error}" for error in errors if error]
        both(pair, wrong, "after a race")
    numbers = generations(store)
    if numbers != list(range(1, len(numbers) + 1)):
        wrong.append(f"generations {numbers}")


def generations(store):
    names = [name for name in store.names(".json") if "/manifest/" in name]
    return sorted(int(name.rsplit("/", 1)[1].removesuffix(".json")) for name in names)


def superseded(_cluster, pair, store, wrong):
    """Old generations go, with the files that they alone have."""
    store.ahead_s += SUPERSEDED_S
    change(pair[0])
    if error := refresh(pair[0]):
        wrong.append(f"superseded: {error}")
    numbers = generations(store)
    if len(numbers) != 2:
        wrong.append(f"generations that stay: {numbers}")
    named(store, wrong, "superseded")
    both(pair, wrong, "superseded")


def named(store, wrong, what):
    """What lies in the bucket is what manifests name."""
    texts = [store.client.get_object(Bucket=BUCKET, Key=name)["Body"].read().decode()
             for name in store.names(".json") if "/manifest/" in name]
    # Deletes of an Iceberg table are beside its metadata.
    for name in (name for name in store.names(".parquet") if "/metadata/" not in name):
        number = int(name.rsplit("/", 1)[1].removesuffix(".parquet"))
        if not any(re.search(rf'"number":\s*{number}\b', text) for text in texts):
            wrong.append(f"{what}: {name} is in no manifest")
    if store.uploads():
        wrong.append(f"{what}: uploads are left: {store.uploads()}")
    claims = [name for name in store.names() if name.endswith("/claim")]
    if claims:
        wrong.append(f"{what}: claims are left: {claims}")


def large(_cluster, pair, store, wrong):
    """Files of several parts, whose upload meets one fault, and then nothing but faults."""
    with connect(pair[0]) as a:
        a.execute("create table l (id int primary key, n int, note text, b bytea)")
        for n in range(LARGE_ROWS):
            a.execute("insert into l values (%s, 1, 'l', %s)", (n, os.urandom(LARGE_BYTES)))
        a.execute("alter table l set (columnar = on)")
    store.faults.break_next("PUT", ".parquet", "half")
    if error := refresh(pair[0], "l"):
        wrong.append(f"a part that was cut off once: {error}")
    until(lambda: (source(pair[1], "l")[1] or 0) >= 1, "a large generation")
    both(pair, wrong, "large", "l")
    parts = [path for method, path in store.faults.seen if method == "POST" and ".parquet" in path]
    if not parts:
        wrong.append("nothing was sent in parts")
    with connect(pair[0]) as a:
        a.execute("update l set n = 2, b = b || 'x'")
    before = len(store.names(".parquet"))
    store.faults.break_next("PUT", ".parquet", "half", times=1_000)
    error = refresh(pair[0], "l")
    if error is None or error.sqlstate != "58030":
        wrong.append(f"a file that cannot be written: {error}")
    both(pair, wrong, "without a newer file", "l")
    store.faults.reset()
    if len(store.names(".parquet")) != before:
        wrong.append(f"parts of a draft stay: {store.names('.parquet')}")
    named(store, wrong, "large")
    until(lambda: refresh(pair[1], "l") is None, "a refresh after faults")
    both(pair, wrong, "large, again", "l")
    with connect(pair[0]) as a:
        a.execute("drop table l")


def lost_answers(_cluster, pair, store, wrong):
    """A request was done, and nobody was told."""
    for part in ("/manifest/", "/claim", ".parquet"):
        for how in ("mute", "after", "before"):
            change(pair[0])
            before = generations(store)[-1]
            store.faults.reset()
            store.faults.break_next("PUT", part, how)
            if error := refresh(pair[0]):
                wrong.append(f"{how} of {part}: {error}")
            if generations(store)[-1] != before + 1:
                wrong.append(f"{how} of {part}: {before}, then {generations(store)}")
            both(pair, wrong, f"{how} of {part}")
    store.faults.reset()
    named(store, wrong, "lost answers")


def slow(_cluster, pair, store, wrong):
    """Nobody waits for the bucket but who makes a view."""
    change(pair[0])
    store.faults.late_s = 0.3
    done = []
    thread = threading.Thread(target=lambda: done.append(refresh(pair[0])))
    thread.start()
    longest = 0
    while thread.is_alive():
        began = time.monotonic()
        both(pair, wrong, "beside a slow bucket")
        longest = max(longest, time.monotonic() - began)
    if done != [None] or longest > 2:
        wrong.append(f"a slow bucket: {done}, looks of up to {longest:.1f} s")


def away(cluster, pair, store, wrong):
    """The server goes, a gateway starts meanwhile, the server comes back."""
    store.stop()
    change(pair[0])
    began = time.monotonic()
    error = refresh(pair[0])
    took = time.monotonic() - began
    if error is None or error.sqlstate != "58030" or took > REFUSAL_S:
        wrong.append(f"no server: {error} after {took:.0f} s")
    print(f"   without a server, after {took:.1f} s: {error}")
    told = source(pair[0], "r")[2]
    if not told or "s3://" not in told:
        wrong.append(f"no server, as the view has it: {told}")
    both(pair, wrong, "without a server")
    pair.kill(1)
    pair.restart(1)
    rows(pair[1], wrong, "started without a server")
    store.start()
    until(lambda: refresh(pair[1]) is None and refresh(pair[0]) is None, "the server is back")
    both(pair, wrong, "the server is back")
    named(store, wrong, "the server is back")


def rows(server, wrong, what):
    """A statement that leaves the way open is answered."""
    with connect(server) as c:
        count = c.execute("select count(*) from r").fetchone()[0]
    if count != ROWS:
        wrong.append(f"{what}: {count} rows")


def mistaken(cluster, pair, store, wrong):
    """What is set up wrongly is told, and keeps nobody from the rows."""
    cases = [
        ("a secret that is wrong", URL, {"AWS_SECRET_ACCESS_KEY": "no"}, "SignatureDoesNotMatch"),
        ("a key that is not known", URL, {"AWS_ACCESS_KEY_ID": "no"}, "InvalidAccessKeyId"),
        ("a bucket that is not there", "s3://nonesuch/base", {}, "NoSuchBucket"),
    ]
    before = store.names()
    for what, url, environment, said in cases:
        with unittest.mock.patch.dict(os.environ, environment):
            server = launch(cluster, KEYSPACE, pair.folder, flags=["--view-store", url])
        try:
            error = refresh(server)
            if error is None or error.sqlstate != "58030" or said not in str(error):
                wrong.append(f"{what}: {error and error.sqlstate} {error}")
            rows(server, wrong, what)
        finally:
            stop(server.process)
    # Known without asking anybody: it does not start.
    try:
        with unittest.mock.patch.dict(os.environ, {"AWS_ALLOW_HTTP": "false"}):
            stop(launch(cluster, KEYSPACE, pair.folder, flags=["--view-store", URL]).process)
        wrong.append("an address without TLS: it starts")
    except RuntimeError as error:
        if "is one without TLS" not in str(error):
            wrong.append(f"an address without TLS: {error}")
    if store.names() != before:
        wrong.append(f"mistaken gateways changed {set(before) ^ set(store.names())}")


def dropped(_cluster, pair, store, wrong):
    """Nothing stays of tables that are gone."""
    manifests = [name for name in store.names("metadata.json")]
    if not manifests:
        wrong.append("no Iceberg table was published")
    json.loads(store.client.get_object(Bucket=BUCKET, Key=manifests[-1])["Body"].read())
    with connect(pair[1]) as b:
        b.execute("drop table r")
    until(lambda: not store.names(), "objects of dropped tables to go")
    if store.uploads():
        wrong.append(f"uploads are left: {store.uploads()}")
