"""The environment of the settings in tests. It is a pytest plugin, so that it is set before Django is loaded."""

import os
import sys
import tempfile

# Images of containers often forbid compiled modules. The tests start hundreds of processes of Partway, which would all
# compile it again: a third of the time of their start. pytest keeps its rewritten test modules the same way.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

VAR_DIR = tempfile.mkdtemp(prefix="partway-tests-")

os.environ.update(
    PARTWAY_VAR=VAR_DIR,
    SECRET_KEY="only for tests",
    CREDENTIALS_KEYS="Kx0MZ1y0Sx5F5jrm2l9vT3m3s0kTn4u6fJm9p7D2ZbE=",
    NODE_NAME="test-node",
    # The test servers are on this machine, and CA bundles in folders of their tests.
    STORE_ALLOWED_ADDRESSES="127.0.0.0/8,::1",
    STORE_CA_DIR="/",
    # One user has all of staging. Tests of this limit set another one.
    USER_RESERVED_BYTES=str(2**60),
    # The queue is in memory and no worker takes from it: tests call the services themselves.
    REDIS_URL="memory://",
)
for name in ("DATABASE_URL", "STAGING_DIR", "STAGING_QUOTA", "DEBUG", "ALLOWED_HOSTS", "SUB_PATH"):
    os.environ.pop(name, None)
for name in [name for name in os.environ if name.startswith("OIDC_")]:
    del os.environ[name]
if "TEST_DATABASE_URL" in os.environ:
    # Tests that other tests run again on PostgreSQL, in a separate process.
    os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]
