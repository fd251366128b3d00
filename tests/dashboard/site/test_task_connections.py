"""The connection of a worker to SQLite: tasks share it until it cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery.fixups.django import DjangoWorkerFixup  # type: ignore[attr-defined]  # the stubs lack it
from celery.signals import task_postrun, task_prerun
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from dashboard.site.celery import app
from uploads.database.sqlite.base import DatabaseWrapper

pytestmark = pytest.mark.django_db


class Task:
    """What Celery sends the signals of a task with, as far as its receivers look at it."""

    request = SimpleNamespace(is_eager=False)


@pytest.fixture
def wrapper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BaseDatabaseWrapper]:
    settings = {**connections["default"].settings_dict, "NAME": str(tmp_path / "db.sqlite3"), "CONN_MAX_AGE": 600}
    wrapper = DatabaseWrapper(settings, "default")
    monkeypatch.setattr(connections, "all", lambda **_: [wrapper])
    wrapper.ensure_connection()
    yield wrapper
    wrapper.close()


@pytest.fixture
def fixup() -> Iterator[DjangoWorkerFixup]:
    fixup = DjangoWorkerFixup(app)
    task_prerun.connect(fixup.on_task_prerun)
    task_postrun.connect(fixup.on_task_postrun)
    yield fixup
    task_prerun.disconnect(fixup.on_task_prerun)
    task_postrun.disconnect(fixup.on_task_postrun)


def run_task() -> None:
    task_prerun.send(Task)
    task_postrun.send(Task)


@pytest.mark.usefixtures("fixup")
def test_tasks_share_a_connection(wrapper: BaseDatabaseWrapper) -> None:
    opened = wrapper.connection
    for _ in range(3):
        run_task()
    assert opened is not None
    assert wrapper.connection is opened


@pytest.mark.usefixtures("fixup")
def test_connection_that_cannot_be_used_is_closed(wrapper: BaseDatabaseWrapper) -> None:
    opened = wrapper.connection
    assert opened is not None
    opened.close()
    wrapper.errors_occurred = True
    run_task()
    assert wrapper.connection is not opened
