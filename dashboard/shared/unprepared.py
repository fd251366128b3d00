"""What a page needs of the installation: what `/healthz?ready` checks, and what a page says that fails without it."""

from __future__ import annotations

import logging
import sys

from django.db import OperationalError, ProgrammingError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from dashboard.shared import static_files
from dashboard.shared.errors import refuse, unavailable
from uploads import database
from uploads.services.upkeep.health import MIGRATIONS, Check

log = logging.getLogger(__name__)


def _static() -> bool:
    """Whether this process serves the static files of this version."""
    problem = static_files.problem()
    if problem:
        log.error("%s", problem)
    return not problem


STATIC = Check("static", _static)


def server_error(request: HttpRequest) -> HttpResponse:
    """The page of an unexpected exception. It needs nothing that may be the cause, and names a part that is missing."""
    error = sys.exc_info()[1]
    if database.is_unavailable(error):
        return unavailable(request, error)
    missing = _missing_part(error)
    if missing is not None:
        missing.passes()  # Its failure is logged with what to do.
    return refuse(request, 500, _("Internal error in Partway"), _text(missing), code="InternalError", alone=True)


def _missing_part(error: BaseException | None) -> Check | None:
    match error:
        case static_files.NotCollected():
            return STATIC
        # A missing table or column: SQLite has no separate exception for it.
        case ProgrammingError() | OperationalError() if not MIGRATIONS.passes():
            return MIGRATIONS
    return None


def _text(missing: Check | None) -> str:
    if missing is STATIC:
        return _("The static files of this version are not installed. The server's log says what to do.")
    if missing is MIGRATIONS:
        return _("The database does not have the tables of this version. The server's log says what to do.")
    return _("This request was not completed. The server's log has the details.")
