"""Texts of codes about store checks."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard.shared.messages.types import Message

MESSAGES: Mapping[str, Message] = {}
