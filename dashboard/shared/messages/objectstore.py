"""Texts of codes about what the object store client refuses or cannot read."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard.shared.messages.types import Message

MESSAGES: Mapping[str, Message] = {}
