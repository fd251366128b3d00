"""Which node a process belongs to: one name and one staging disk, and when it was last heard.

The disk has an id in a file, and the row of the node has the id of its disk. A process that finds another pair does not
start: otherwise the bytes of transfers would be looked for where they are not.
"""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from uploads.domain.states import FINAL_PHASES
from uploads.models import StagingNode, Transfer
from uploads.models.node import silent_before
from uploads.problems import Code, Problem, ProblemError
from uploads.staging.disk import sync_folder

log = logging.getLogger(__name__)

ID_FILE = ".partway-disk"
"""In STAGING_DIR: the id of the disk, which stays the same as long as its bytes do."""


class NodeConflict(ProblemError):
    """The name or the disk of this process belongs to another node."""


def disk_id() -> str:
    """The id of this node's staging disk. A disk without one, such as a new one, gets one. Raises OSError."""
    staging = Path(settings.STAGING_DIR)
    staging.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = staging / ID_FILE
    if not path.exists():
        _write_id(path)
    return path.read_text().strip()


def _write_id(path: Path) -> None:
    """Several processes of a node start at the same time: the first one decides. The id is never incomplete."""
    draft = path.with_name(f"{ID_FILE}.{os.getpid()}")
    draft.write_text(secrets.token_hex(16))
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
    sync_folder(path.parent)


def has_disk() -> bool:
    """Whether the disk of this node is here: it may have been unmounted while the process runs.

    Ask before what is not on the disk counts as lost. A disk never gets an id by this. A node whose disk no process has
    recorded yet has nothing to compare.
    """
    recorded = StagingNode.objects.filter(name=settings.NODE_NAME).exclude(disk_id="")
    expected = recorded.values_list("disk_id", flat=True).first()
    return expected is None or _id_on_disk() == expected


def check_disk() -> None:
    """Raise NodeConflict unless the disk of this node is here."""
    if not has_disk():
        folder = str(settings.STAGING_DIR)
        raise NodeConflict(Problem(Code.DISK_NOT_HERE, folder=folder, name=settings.NODE_NAME))


def _id_on_disk() -> str:
    """The id that is there; empty without one."""
    try:
        return (Path(settings.STAGING_DIR) / ID_FILE).read_text().strip()
    except OSError:
        return ""


def claim() -> None:
    """Record that this process is the node NODE_NAME with this disk. Raises NodeConflict if it cannot be."""
    disk = disk_id()
    with transaction.atomic():
        StagingNode.objects.get_or_create(name=settings.NODE_NAME, defaults={"disk_id": disk})
        node = StagingNode.objects.select_for_update().get(name=settings.NODE_NAME)
        _check_disk_of_others(disk)
        if node.disk_id and node.disk_id != disk:
            _check_disk_was_replaced(node)
        StagingNode.objects.filter(pk=node.pk).update(disk_id=disk, heard_at=timezone.now())


def _check_disk_of_others(disk: str) -> None:
    """A disk that has bytes of another name: the name has changed by mistake, or two nodes use one folder."""
    others = StagingNode.objects.filter(disk_id=disk).exclude(name=settings.NODE_NAME)
    for other in others:
        unfinished = Transfer.objects.filter(node=other.name).exclude(phase__in=FINAL_PHASES)
        is_heard = other.heard_at >= silent_before()
        if is_heard or unfinished.exists():
            raise NodeConflict(
                Problem(
                    Code.DISK_OF_OTHER_NODE,
                    folder=str(settings.STAGING_DIR),
                    other=other.name,
                    name=settings.NODE_NAME,
                    silent_seconds=settings.NODE_SILENT_SECONDS,
                )
            )
        StagingNode.objects.filter(pk=other.pk).update(disk_id="")


def _check_disk_was_replaced(node: StagingNode) -> None:
    if node.heard_at >= silent_before():
        seconds = max(0, int((timezone.now() - node.heard_at).total_seconds()))
        raise NodeConflict(
            Problem(
                Code.NODE_NAME_TAKEN,
                name=node.name,
                ago_seconds=seconds,
                silent_seconds=settings.NODE_SILENT_SECONDS,
            )
        )
    log.warning("node %s: it has another staging disk than before; what was staged on that one is not here", node.name)


def beat(*, is_sender: bool) -> bool:
    """Record that a process of this node runs. Returns whether its sender was silent until now.

    The sender also has the next reservation read what is reserved (`upper_bound`).

    Raises NodeConflict if another disk has taken the node's name meanwhile.
    """
    now, disk = timezone.now(), disk_id()
    mine = StagingNode.objects.filter(name=settings.NODE_NAME, disk_id=disk)
    was_silent = is_sender and mine.filter(sender_heard_at__lt=silent_before()).exists()
    heard: dict[str, Any] = {"heard_at": now}
    if is_sender:
        heard |= {"sender_heard_at": now, "reserved_at_most": None}
    if not mine.update(**heard):
        claim()
        StagingNode.objects.filter(Q(name=settings.NODE_NAME)).update(**heard)
    return was_silent
