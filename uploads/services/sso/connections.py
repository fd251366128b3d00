"""HTTP to the provider: bounded in time as a whole, in the size of a response, and without following redirects.

This module loads Authlib, which takes 3 MiB. `provider` loads it with the first request to a provider.
"""

from __future__ import annotations

from typing import Any

import requests
from authlib.integrations.base_client import BaseApp, OAuth2Mixin, OpenIDMixin
from authlib.integrations.requests_client import OAuth2Session

from uploads.objectstore.connections import PatientAdapter

CONNECT_SECONDS = 5.0
LARGEST_RESPONSE = 1024**2


class ResponseTooLarge(requests.RequestException):
    """The provider sent more than any of its documents has."""


class _Adapter(PatientAdapter):
    """Reads the whole response itself, because requests would read one of any size."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(request, *args, **{**kwargs, "stream": True})
        with response:
            content = response.raw.read(LARGEST_RESPONSE + 1, decode_content=True)
        if len(content) > LARGEST_RESPONSE:
            raise ResponseTooLarge
        response._content, response._content_consumed = content, True  # type: ignore[attr-defined]
        return response


class ProviderSession(OAuth2Session):  # type: ignore[misc]  # Authlib has no types.
    """Authlib's session with these connections."""

    def __init__(self, *args: Any, ca_bundle: str = "", seconds: float = 10, **kwargs: Any) -> None:
        super().__init__(*args, default_timeout=(min(CONNECT_SECONDS, seconds), seconds), **kwargs)
        self.trust_env = False
        self.verify = ca_bundle or True
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(seconds))

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:
        response: requests.Response = super().request(method, url, **{"allow_redirects": False, **kwargs})
        if response.is_redirect:
            raise requests.TooManyRedirects
        return response


class App(OAuth2Mixin, OpenIDMixin, BaseApp):  # type: ignore[misc]  # Authlib has no types.
    """Authlib's client without its integration in Django, which would keep the verifier in the session's row."""

    client_cls = ProviderSession
