"""Writes the rings of the embedded Swift: `python -m local.swift_rings FOLDER ACCOUNT CONTAINER OBJECT` (ports)."""

from __future__ import annotations

import sys
from pathlib import Path

from swift.common.ring import RingBuilder

from local.ports import LOOPBACK
from local.swift import DEVICE, SERVERS


def main() -> None:
    folder = Path(sys.argv[1])
    for name, port in zip(SERVERS[:3], map(int, sys.argv[2:]), strict=True):
        builder = RingBuilder(4, 1, 0)
        where = {"ip": LOOPBACK, "port": port, "replication_ip": LOOPBACK, "replication_port": port}
        builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1.0, "device": DEVICE, **where})
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{name}.ring.gz"))


if __name__ == "__main__":
    main()
