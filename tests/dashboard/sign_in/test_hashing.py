"""Passwords are hashed in a bounded number of threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, identify_hasher, make_password
from django.test import Client
from pytest_django import Settings

from dashboard import auth
from uploads.services.sign_in import hashing
from uploads.services.sign_in.hashing import BoundedPBKDF2, HashingBusy, Places


def test_as_many_threads_as_allowed_are_inside_and_others_wait_or_are_refused() -> None:
    places = Places(at_once=2, waiting=1)
    inside, leave = threading.Semaphore(0), threading.Event()
    counts: list[int] = []
    lock = threading.Lock()
    at_once = 0

    def work() -> None:
        nonlocal at_once
        with places.place():
            with lock:
                at_once += 1
                counts.append(at_once)
            inside.release()
            leave.wait(60)
            with lock:
                at_once -= 1

    with ThreadPoolExecutor(3) as pool:
        tasks = [pool.submit(work) for _ in range(3)]
        inside.acquire()
        inside.acquire()
        # The third waits, or is about to: the fourth is refused once it does.
        while places._admitted._value:
            pass
        with pytest.raises(HashingBusy), places.place():
            pass
        leave.set()
        for task in tasks:
            task.result(60)
    assert max(counts) == 2
    with places.place():
        pass


def test_thread_that_is_inside_may_enter_again() -> None:
    places = Places(at_once=1, waiting=0)
    with places.place(), places.place():
        pass
    with pytest.raises(ZeroDivisionError), places.place():
        _ = 1 / 0
    with places.place():
        pass


def test_hashes_are_those_of_django(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = settings.PASSWORD_HASHERS[1:]
    assert settings.PASSWORD_HASHERS[0].endswith("BoundedPBKDF2")
    hashed = make_password("a password")
    assert isinstance(identify_hasher(hashed), BoundedPBKDF2)
    assert check_password("a password", hashed)
    assert PBKDF2PasswordHasher().verify("a password", hashed)


def test_hash_needs_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    places = Places(at_once=1, waiting=0)
    monkeypatch.setattr(hashing, "places", places)
    with ExitStack() as others:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(others.enter_context, places.place()).result()
        with pytest.raises(HashingBusy):
            BoundedPBKDF2().encode("a password", "salt")


@pytest.mark.django_db
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_sign_in_is_refused_while_too_many_wait(accept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Places(at_once=1, waiting=0)
    full._admitted.acquire()
    monkeypatch.setattr(auth, "places", full)
    response = Client().post("/login/", {"username": "olga", "password": "x"}, headers={"Accept": accept})
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert "Many people are signing in" in response.content.decode()
