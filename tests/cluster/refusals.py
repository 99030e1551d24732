"""What a gateway says where a cluster refuses it (user and password, certificates), and where it
refuses a keyspace that was made for others."""

import os
import pathlib
import subprocess
import tempfile
import time

import psycopg

from gateways import launch
from nodes import cassandra
from servers import free_port, sluice_binary, stop

# What every cluster begins with; made a moment after its port answers.
USER, PASSWORD = "cassandra", "cassandra"
USER_TIMEOUT_S = 60
STORE_PASSWORD = "of-the-store"
REFUSED_TIMEOUT_S = 60

SECURE = """authenticator: PasswordAuthenticator
client_encryption_options:
  enabled: true
  optional: true
  keystore: {store}
  keystore_password: {password}
  store_type: PKCS12
"""


def certificate(folder, name, host):
    """A key and a certificate that signs itself; the key store's path and the certificate's."""
    store, pem = f"{folder}/{name}.p12", f"{folder}/{name}.pem"
    tool = ["keytool", "-keystore", store, "-storepass", STORE_PASSWORD, "-alias", name]
    subprocess.run(
        [*tool, "-genkeypair", "-keyalg", "EC", "-storetype", "PKCS12", "-validity", "2",
         "-dname", f"CN={name}", "-ext", f"san=ip:{host}"], check=True, capture_output=True)
    subprocess.run([*tool, "-exportcert", "-rfc", "-file", pem], check=True, capture_output=True)
    return store, pem


def said(cluster, *flags, keyspace="refused", auth="trust", **environment):
    """What a gateway says that does not start, and how it ends."""
    command = [
        str(sluice_binary()), "start", "--store", "cassandra", "--contact-points",
        cluster.contact_points(), "--keyspace", keyspace, "--listen",
        f"127.0.0.1:{free_port()}", "--auth", auth, *flags]
    try:
        done = subprocess.run(command, env=dict(os.environ, **environment), text=True,
                              capture_output=True, timeout=REFUSED_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return 0, "it did not end"
    return done.returncode, done.stderr


def works(cluster, folder, *flags):
    """Whether a gateway starts; tried again while the cluster makes its first user."""
    deadline = time.monotonic() + USER_TIMEOUT_S
    while True:
        try:
            stop(launch(cluster, "allowed", folder, flags=flags).process)
            return True
        except RuntimeError:
            if time.monotonic() > deadline:
                return False


def settings(plain, folder, expect, wrong):
    """What is decided once for a keyspace: where commits agree, the format."""
    from cassandra.cluster import Cluster

    home = ("--serial-domain", "local_serial", "--home-dc", "datacenter1")
    for flags, sql, rows in (
        (home, "create table t (id int primary key); insert into t values (1)", None),
        ((), "insert into t values (2)", None),
        (home, "select id from t order by id", [(1,), (2,)]),
    ):
        server = launch(plain, "home", folder, flags=flags)
        with psycopg.connect(server.dsn(), autocommit=True) as c:
            done = c.execute(sql)
            if rows is not None and done.fetchall() != rows:
                wrong.append(f"{sql} where commits agree in one data centre")
        stop(server.process)
    expect("another serial domain",
           "has serial domain LOCAL_SERIAL in datacenter1, and this gateway SERIAL",
           said(plain, "--serial-domain", "serial", keyspace="home"))
    expect("a home that is nowhere", 'no data centre "nowhere"',
           said(plain, *home[:3], "nowhere", keyspace="elsewhere"))
    expect("no home", "needs --home-dc", said(plain, *home[:2], keyspace="elsewhere"))
    expect("a home for nothing", "goes with --serial-domain local_serial only",
           said(plain, *home[2:], keyspace="elsewhere"))
    expect("no password for what would be new", "needs a password",
           said(plain, auth="scram", keyspace="elsewhere"))
    host, port = plain.contact_points().split(",")[0].split(":")
    driver = Cluster([host], port=int(port))
    try:
        session = driver.connect("home")
        session.execute("update settings set format = 99 where name = 'keyspace'")
        if "elsewhere" in driver.metadata.keyspaces:
            wrong.append("who was refused has made a keyspace")
    finally:
        driver.shutdown()
    expect("a newer format", "which is newer than format", said(plain, keyspace="home"))


def compare(plain):
    """What is not as it should be. `plain` is a cluster without any of it."""
    wrong = []

    def expect(what, part, outcome):
        code, text = outcome
        told = [line for line in text.splitlines() if line.startswith("sluice: ")]
        print(f"   {what}: {''.join(told)}")
        if code == 0 or part not in "".join(told):
            wrong.append(f"{what}: exit {code}, {text}")

    with tempfile.TemporaryDirectory(prefix="sluice-refusals-") as folder:
        pems = {}

        def secure(cluster):
            store, pems["own"] = certificate(folder, "own", cluster.nodes[0].host)
            pems["other"] = certificate(folder, "other", cluster.nodes[0].host)[1]
            cluster.more = SECURE.format(store=store, password=STORE_PASSWORD)

        settings(plain, folder, expect, wrong)
        path = pathlib.Path(folder) / "password"
        path.write_text(PASSWORD + "\n")
        user = ("--cluster-user", USER)
        right = (*user, "--cluster-password-file", str(path))
        expect("a cluster without TLS", "does not speak TLS",
               said(plain, "--cluster-ca", certificate(folder, "none", "127.0.0.1")[1]))
        with cassandra(before=secure) as cluster:
            if not works(cluster, folder, *right):
                wrong.append("user and password are refused")
            if not works(cluster, folder, *right, "--cluster-ca", pems["own"]):
                wrong.append("the certificate is refused")
            expect("no user", "asks for a user and a password", said(cluster))
            expect("a wrong password", 'refuses user "cassandra" or its password',
                   said(cluster, *user, SLUICE_CLUSTER_PASSWORD="wrong"))
            expect("no password", "belong together", said(cluster, *user))
            expect("a file that is not there", "could not use the password in",
                   said(cluster, *user, "--cluster-password-file", f"{folder}/nothing"))
            expect("another authority", "cannot be trusted",
                   said(cluster, *right, "--cluster-ca", pems["other"]))
    return wrong
