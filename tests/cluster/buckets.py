"""An S3 server to test beside: moto, which checks signatures and conditions, on a loopback port.

Between it and the network stands [`Faults`], where requests are late, are refused, or are lost."""

import contextlib
import datetime
import io
import os
import socket
import threading
import time

# Read when moto is imported: from the first request on, who asks has to say who it is.
os.environ.setdefault("INITIAL_NO_AUTH_ACTION_COUNT", "0")

import boto3  # noqa: E402
import botocore.config  # noqa: E402
import moto.s3.models  # noqa: E402
from moto.core import DEFAULT_ACCOUNT_ID  # noqa: E402
from moto.iam.models import iam_backends  # noqa: E402
from moto.moto_server.werkzeug_app import (  # noqa: E402
    DomainDispatcherApplication, MotoRequestHandler, create_backend_app)
from werkzeug.serving import make_server  # noqa: E402

BUCKET, REGION, USER = "views", "us-east-1", "gateway"
ALLOWED = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", ' \
          '"Resource": "*"}}'


class Faults:
    """What stands before the server."""

    def __init__(self, app):
        self.app = app
        # moto looks whether an object is there and writes it then; S3 does both at once.
        self.conditional = threading.Lock()
        self.reset()

    def reset(self):
        # Seconds by which every answer is late; what requests meet, by method and a path's part.
        self.late_s, self.broken, self.seen = 0, [], []

    def break_next(self, method, part, how, times=1):
        """`how`: 'half' reads half of a body and hangs up, 'before' and 'after' answer 500
        without and with having done it, 'mute' does it and hangs up."""
        self.broken.append([method, part, how, times])

    def fault(self, method, path):
        for fault in self.broken:
            if fault[3] and fault[0] == method and fault[1] in path:
                fault[3] -= 1
                return fault[2]
        return None

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.seen.append((method, path))
        time.sleep(self.late_s)
        how = self.fault(method, path)
        if how == "half":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
            return hang_up(environ)
        # All of it, or the rest would be taken for the next request.
        environ["wsgi.input"] = io.BytesIO(
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        if how == "before":
            return refuse(start_response)
        answered = (lambda *_: None) if how else start_response
        if "HTTP_IF_NONE_MATCH" in environ:
            with self.conditional:
                answer = list(self.app(environ, answered))
        else:
            answer = self.app(environ, answered)
        if how == "after":
            return refuse(start_response)
        return hang_up(environ) if how == "mute" else answer


def refuse(start_response):
    start_response("500 Internal Server Error", [("content-length", "0")])
    return [b""]


def hang_up(environ):
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionError("a connection is cut, as the test wants it")


class Handler(MotoRequestHandler):
    """Keeps connections open, as S3 does, and says nothing."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.open.add(self.connection)

    def finish(self):
        self.server.open.discard(self.connection)
        super().finish()

    def log(self, *_):
        pass


class Store:
    """The server. Its port stays the same while it is away."""

    def __init__(self, port):
        self.port = port
        self.faults = Faults(DomainDispatcherApplication(create_backend_app))
        self.ahead_s = 0
        real = moto.s3.models.utcnow
        moto.s3.models.utcnow = lambda: real() + datetime.timedelta(seconds=self.ahead_s)
        iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
        iam.create_user(region_name=REGION, user_name=USER)
        iam.put_user_policy(USER, "all", ALLOWED)
        key = iam.create_access_key(USER)
        self.key, self.secret = key.access_key_id, key.secret_access_key
        self.server = None
        self.start()
        self.client = boto3.client(
            "s3", endpoint_url=self.url(), aws_access_key_id=self.key,
            aws_secret_access_key=self.secret, region_name=REGION,
            config=botocore.config.Config(s3={"addressing_style": "path"}),
        )
        self.client.create_bucket(Bucket=BUCKET)

    def start(self):
        self.server = make_server("127.0.0.1", self.port, self.faults, threaded=True,
                                  request_handler=Handler)
        self.server.daemon_threads, self.server.open = True, set()
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.server.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def environment(self, **other):
        """What a gateway is given."""
        return {"AWS_ENDPOINT_URL": self.url(), "AWS_ALLOW_HTTP": "true", "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret, **other}

    def names(self, ending=""):
        """The keys of all objects."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        names = [o["Key"] for page in pages for o in page.get("Contents", [])]
        return sorted(name for name in names if name.endswith(ending))

    def uploads(self):
        """Uploads that were begun, and neither completed nor aborted."""
        return self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
