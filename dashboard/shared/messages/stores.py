"""Texts of codes about store settings and connection tests."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard.shared.messages.types import Message

MESSAGES: Mapping[str, Message] = {}
