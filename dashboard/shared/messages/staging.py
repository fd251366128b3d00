"""Texts of codes about receiving and staging."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard.shared.messages.types import Message

MESSAGES: Mapping[str, Message] = {}
