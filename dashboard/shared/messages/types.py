"""What a message is: a lazy translation with named placeholders, or one with a plural."""

from __future__ import annotations

from typing import Any, Protocol


class Message(Protocol):
    """`gettext_lazy(...)`, or `ngettext_lazy(one, many, "count")`; `%` fills in the parameters."""

    def __mod__(self, params: Any, /) -> Any: ...
