"""Reading the audit log for its page."""

from __future__ import annotations

from uploads import access
from uploads.access import AnyUser
from uploads.models import AuditEntry


def find_audit_entries(
    user: AnyUser,
    *,
    actor: str = "",
    action: str = "",
    store: str = "",
    bucket: str = "",
    key: str = "",
    before: int | None = None,
    limit: int,
) -> list[AuditEntry]:
    """Entries that match every given filter, newest first, starting below the id `before`.

    `action` and `key` are compared by their beginning.
    """
    entries = access.audit_entries_to_see(user)
    exact = {"actor_name": actor, "store": store, "bucket": bucket}
    entries = entries.filter(**{name: value for name, value in exact.items() if value})
    if action:
        entries = entries.filter(action__startswith=action)
    if key:
        entries = entries.filter(key__startswith=key)
    if before is not None:
        entries = entries.filter(pk__lt=before)
    return list(entries[:limit])
