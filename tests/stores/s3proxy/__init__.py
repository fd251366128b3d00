"""A real S3Proxy for tests: one Java process that stores objects and parts as files."""

from __future__ import annotations

import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local import ports
from tests.stores import processes
from tests.stores.s3 import S3Store

JARS = Path(sys.prefix) / "s3proxy"
REGION = "us-east-1"
LOCALE = {"LC_ALL": "C.UTF-8"}
"""Java encodes the names of files by the locale, and keys are names of files."""

JAVA = ("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Java with less memory and a faster start."""

LOGGING = ("-Dorg.slf4j.simpleLogger.logFile=System.out", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
"""S3Proxy logs what is printed to standard error, so a log there would be logged forever."""


@contextmanager
def running(folder: Path) -> Iterator[S3Store]:
    """Run a new server. Its log and data are in `folder`."""
    if shutil.which("java") is None or not JARS.exists():
        raise FileNotFoundError("The tests need S3Proxy and Java: `make s3proxy` installs them.")
    data = folder / "data"
    data.mkdir()
    (port,) = ports.choose(1)
    url = f"http://{ports.LOOPBACK}:{port}"
    store = S3Store(url, REGION, secrets.token_hex(8), secrets.token_urlsafe(16), folder)
    configuration = folder / "s3proxy.conf"
    configuration.write_text("".join(f"{name}={value}\n" for name, value in _properties(store, data).items()))
    classes = f"{JARS}/*"
    argv = [*JAVA, *LOGGING, "-cp", classes, "org.gaul.s3proxy.Main", "--properties", str(configuration)]
    started = [processes.start(argv, folder / "s3proxy.log", LOCALE)]
    try:
        store.wait_until_ready(started)
        yield store
    finally:
        processes.kill(started)  # An orderly stop takes 2 seconds.


def _properties(store: S3Store, data: Path) -> Mapping[str, object]:
    return {
        "s3proxy.endpoint": store.endpoint_url,
        "s3proxy.authorization": "aws-v2-or-v4",
        "s3proxy.identity": store.access_key,
        "s3proxy.credential": store.secret_key,
        "jclouds.provider": "filesystem-nio2",
        "jclouds.filesystem.basedir": data,
    }
