"""Starts a private PostgreSQL and a Sluice, on loopback, and stops both again."""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 30


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def sluice_binary(release=False):
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = target / ("release" if release else "debug") / "sluice"
    if not path.exists():
        flags = ["--release"] if release else []
        subprocess.run(["cargo", "build", "--quiet", *flags], cwd=ROOT, check=True)
    return path


class Server:
    """Where psql finds a server."""

    def __init__(self, name, port, user, database, process):
        self.name, self.port, self.user = name, port, user
        self.database, self.process = database, process

    def env(self):
        return dict(
            os.environ, PGHOST="127.0.0.1", PGPORT=str(self.port), PGUSER=self.user,
            PGDATABASE=self.database, PGCONNECT_TIMEOUT="5", PGAPPNAME="sluice-tests",
            PSQLRC="/dev/null", PGOPTIONS="-c TimeZone=UTC", LC_ALL="C.UTF-8",
        )

    def dsn(self):
        return f"host=127.0.0.1 port={self.port} user={self.user} dbname={self.database}"

    def psql(self, script, *flags, check=True, timeout=600):
        """Runs a script through psql; standard output and error come back together."""
        done = subprocess.run(
            ["psql", "-X", "-q", *flags], input=script, env=self.env(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"psql on {self.name} failed:\n{done.stdout[-4000:]}")
        return done.stdout

    def rows(self, sql, timeout=600):
        """One statement's rows as lines of fields separated by |."""
        return self.psql(sql, "-At", "-v", "ON_ERROR_STOP=1", timeout=timeout).splitlines()


def wait_ready(server, log):
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.process is not None and server.process.poll() is not None:
            break
        done = subprocess.run(
            ["psql", "-X", "-q", "-c", "select 1"], env=server.env(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        if done.returncode == 0:
            return
        time.sleep(0.1)
    raise RuntimeError(f"{server.name} did not answer:\n{pathlib.Path(log).read_text()[-4000:]}")


def stop(process):
    process.send_signal(signal.SIGINT if process.args[0].endswith("postgres") else signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def as_postgres():
    """PostgreSQL refuses to run as root: the arguments that let it run as somebody else."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def postgres(settings=()):
    """A PostgreSQL with the C locale in a temporary folder."""
    bin_dir = pathlib.Path(os.environ.get("PG_BIN", "/usr/lib/postgresql/15/bin"))
    folder = tempfile.mkdtemp(prefix="sluice-pg-")
    who = as_postgres()
    if who:
        os.chown(folder, who["user"], who["group"])
    data, log, port = f"{folder}/data", f"{folder}/log", free_port()
    try:
        subprocess.run(
            [bin_dir / "initdb", "-D", data, "--locale=C", "-E", "UTF8", "-U", "sluice",
             "--auth=trust"],
            check=True, stdout=subprocess.DEVNULL, cwd=folder, **who,
        )
        flags = [f"-c{name}={value}" for name, value in settings]
        with open(log, "w") as out:
            process = subprocess.Popen(
                [str(bin_dir / "postgres"), "-D", data, "-p", str(port), "-k", folder,
                 "-clisten_addresses=127.0.0.1", *flags],
                stdout=out, stderr=out, cwd=folder, **who,
            )
        server = Server("PostgreSQL", port, "sluice", "postgres", process)
        try:
            wait_ready(server, log)
            yield server
        finally:
            stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def sluice(*flags, release=False, folder=None):
    """A Sluice on an embedded store in a temporary folder (or in `folder`, which stays)."""
    own = folder is None
    folder = folder or tempfile.mkdtemp(prefix="sluice-test-")
    log, port = f"{folder}/log", free_port()
    try:
        with open(log, "w") as out:
            process = subprocess.Popen(
                [str(sluice_binary(release)), "start", "--data", f"{folder}/data",
                 "--listen", f"127.0.0.1:{port}", "--auth", "trust", "--user", "sluice", *flags],
                stdout=out, stderr=out, cwd=folder,
            )
        server = Server("Sluice", port, "sluice", "postgres", process)
        try:
            wait_ready(server, log)
            yield server
        finally:
            stop(process)
    finally:
        if own:
            shutil.rmtree(folder, ignore_errors=True)
