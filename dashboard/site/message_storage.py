"""Messages for the next page, in a cookie with a name and a path of our own."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage


class MessageCookies(CookieStorage):
    """Django sets the path `/`, which other sites of the host share."""

    cookie_name = "partway_messages"

    def _update_cookie(self, encoded_data: str, response: Any) -> None:
        super()._update_cookie(encoded_data, response)  # type: ignore[misc]  # the stubs lack it
        if self.cookie_name in response.cookies:
            response.cookies[self.cookie_name]["path"] = settings.SESSION_COOKIE_PATH


class Messages(FallbackStorage):
    storage_classes = (MessageCookies, SessionStorage)
