"""The texts of scripts, as a script itself: Django's JavaScriptCatalog under an address that names its content.

It defines `gettext`, `ngettext`, `interpolate` and `get_format`. The login page needs it too, so it is open.
"""

from __future__ import annotations

import hashlib
from functools import cache

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe
from django.views.i18n import JavaScriptCatalog

MAX_AGE = 365 * 86400


@login_not_required
@require_safe
def catalog(_request: HttpRequest, language: str, version: str) -> HttpResponse:
    """The catalog of a language. Browsers keep it: a changed catalog has another address."""
    if language not in dict(settings.LANGUAGES):
        raise Http404
    response = HttpResponse(_script(language), content_type="text/javascript; charset=utf-8")
    if version == _version(language):
        patch_cache_control(response, public=True, immutable=True, max_age=MAX_AGE)
    return response


def catalog_url() -> str:
    """The address of the catalog in the active language."""
    language = translation.get_language() or settings.LANGUAGE_CODE
    return reverse("catalog", args=[language, _version(language)])


@cache
def _script(language: str) -> bytes:
    view = JavaScriptCatalog()
    with translation.override(language):
        view.translation = translation.trans_real.DjangoTranslation(language, domain=view.domain)
        return view.render_to_response(view.get_context_data()).content


@cache
def _version(language: str) -> str:
    return hashlib.sha256(_script(language)).hexdigest()[:12]
