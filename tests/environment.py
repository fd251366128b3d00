"""The environment that the settings read when tests run: loaded as a pytest plugin, before Django is."""

import os
import tempfile

VAR_DIR = tempfile.mkdtemp(prefix="partway-tests-")

os.environ.update(
    PARTWAY_VAR=VAR_DIR,
    SECRET_KEY="only for tests",
    CREDENTIALS_KEYS="Kx0MZ1y0Sx5F5jrm2l9vT3m3s0kTn4u6fJm9p7D2ZbE=",
    NODE_NAME="test-node",
    # In one process the queue is kept in memory and nobody works on it: tests call the services themselves.
    REDIS_URL="memory://",
)
for name in ("DATABASE_URL", "STAGING_DIR", "STAGING_QUOTA", "DEBUG", "ALLOWED_HOSTS"):
    os.environ.pop(name, None)
