"""A refusal as a finding: which permission it wants, or what to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason, Refused
from uploads.objectstore.permissions import permission_advice, what_goes_without
from uploads.objectstore.probing.results import Finding, Verdict

ADVICE: Mapping[Reason, str] = {
    Reason.UNREACHABLE: "Check the endpoint URL, and that this machine may connect to it (firewall, proxy, DNS).",
    Reason.TLS: "Name the CA bundle of a private authority in the store's settings, or renew the certificate.",
    Reason.TIMEOUT: "Run the check again; if it stays so, look at the store's load and at proxies before it.",
    Reason.CONNECTION_LOST: "Run the check again; if it stays so, look for a proxy that cuts connections.",
    Reason.UNREADABLE_RESPONSE: (
        "Check that the endpoint URL is the store's API, not its web console, and that no proxy answers."
    ),
    Reason.CREDENTIALS: "Enter access key and secret key again in the store's settings.",
    Reason.CREDENTIALS_EXPIRED: "Enter new credentials with their session token in the store's settings.",
    Reason.CLOCK_SKEW: "Set the clock of the machine that runs Partway (NTP).",
    Reason.WRONG_REGION: "Set the store's region and endpoint to the bucket's, or add another store for it.",
    Reason.ADDRESSING: "Set the store's addressing to virtual-hosted.",
    Reason.NO_SUCH_BUCKET: "Check the bucket's name: case counts.",
    Reason.THROTTLED: "Run the check again when the store has less to do.",
    Reason.STORE_FAULT: "Give the request id to whoever runs the store.",
    Reason.BAD_ARGUMENT: "Check the store's settings.",
    Reason.BAD_KEY: "Nothing: such keys are not sent.",
}

REFUSED_ADVICE = "The store's documentation says more about this code."


def finding_of(error: ObjectStoreError, advice: str = "") -> Finding:
    """A failure as what a check found."""
    code = error.code if isinstance(error, Refused) else ""
    request_id = error.request_id if isinstance(error, Refused) else ""
    if error.reason is Reason.PERMISSION:
        said = f"These credentials do not allow {error.operation}. {what_goes_without(error.operation)}".strip()
        return Finding(Verdict.DENIED, said, permission_advice(error.operation), None, code, request_id)
    if isinstance(error, Refused):
        said = f"{error.operation} was refused with {error.code}: {error.message}"
    else:
        certainty = "Nothing reached the store" if isinstance(error, NotSent) else "No usable answer came"
        said = f"{certainty}: {error.message}"
    return Finding(Verdict.FAILED, said, advice or ADVICE.get(error.reason, REFUSED_ADVICE), None, code, request_id)
