"""The form of an alert rule."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, validate_email
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.shared.messages import text_of
from dashboard.shared.messages.alerts import WHATS
from dashboard.shared.messages.verdicts import VERDICTS
from uploads import access
from uploads.access import AnyUser
from uploads.domain.alerts import MASK, OF_VERDICTS, What
from uploads.models import AlertRule
from uploads.models.store import validate_endpoint_url
from uploads.objectstore.addresses import AddressRefusedError
from uploads.services.alerts.rules import RuleValues
from uploads.services.alerts.webhooks import check_address

MAX_ADDRESSES = 20
BYTES_UNITS = {"TiB": 1024**4, "GiB": 1024**3, "MiB": 1024**2, "KiB": 1024}


def _input(**attributes: str) -> forms.TextInput:
    return forms.TextInput(attrs={"class": "form-control", "autocomplete": "off", "spellcheck": "false"} | attributes)


class Unshown(forms.PasswordInput):
    """What is entered can be read, and the page of a refused form does not repeat it."""

    input_type = "text"


def _select() -> forms.Select:
    return forms.Select(attrs={"class": "form-select"})


class RuleForm(forms.Form):
    """A rule as an administrator enters it. An empty webhook keeps the stored one, and then so does an empty secret."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=100, widget=_input())
    what = forms.ChoiceField(label=gettext_lazy("Watch"), choices=list(WHATS.items()), widget=_select())
    threshold = forms.CharField(
        label=gettext_lazy("Alert above"),
        max_length=40,
        help_text=gettext_lazy(
            "A number, with KiB, MiB, GiB or TiB for bytes and growth per day. Uploads, places and hours are counted."
        ),
        widget=_input(inputmode="text"),
    )
    currency = forms.RegexField(
        r"^[A-Z]{3}$",
        label=gettext_lazy("Currency"),
        required=False,
        help_text=gettext_lazy("Of a cost: three letters, such as USD."),
        widget=_input(),
    )
    store = forms.ChoiceField(label=gettext_lazy("Store"), required=False, widget=_select())
    bucket = forms.CharField(
        label=gettext_lazy("Bucket"),
        required=False,
        max_length=255,
        help_text=gettext_lazy("If empty: all buckets."),
        widget=_input(),
    )
    verdict = forms.ChoiceField(label=gettext_lazy("Verdict"), required=False, widget=_select())
    webhook_url = forms.CharField(
        label=gettext_lazy("Webhook"),
        required=False,
        max_length=1000,
        help_text=gettext_lazy("Stored encrypted. Pages show its server only."),
        widget=Unshown(
            attrs={"class": "form-control", "autocomplete": "off", "spellcheck": "false", "inputmode": "url"}
        ),
    )
    remove_webhook = forms.BooleanField(
        label=gettext_lazy("Remove the stored webhook"),
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
    webhook_secret = forms.CharField(
        label=gettext_lazy("Secret of the webhook"),
        required=False,
        max_length=1000,
        help_text=gettext_lazy("Signs what is sent. Stored encrypted, and never shown."),
        widget=forms.PasswordInput(render_value=False, attrs={"class": "form-control", "autocomplete": "new-password"}),
    )
    emails = forms.CharField(
        label=gettext_lazy("E-mail addresses"),
        required=False,
        max_length=5000,
        help_text=gettext_lazy("One per line."),
        widget=forms.Textarea(attrs={"class": "form-control", "rows": "3"}),
    )
    quiet_from = forms.TimeField(
        label=gettext_lazy("Quiet from (UTC)"), required=False, widget=_input(placeholder="22:00")
    )
    quiet_until = forms.TimeField(
        label=gettext_lazy("Quiet until (UTC)"), required=False, widget=_input(placeholder="06:00")
    )
    enabled = forms.BooleanField(
        label=gettext_lazy("Enabled"),
        required=False,
        initial=True,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )

    def __init__(self, data: Any = None, *, user: AnyUser, rule: AlertRule | None = None) -> None:
        super().__init__(data, initial=_initial(rule) if rule else None)
        self._stored = rule.shown_webhook if rule else ""
        if self._stored:
            self.fields["webhook_url"].help_text = self._stored_text()
        else:
            del self.fields["remove_webhook"]
        self._stores = {store.name: store for store in access.stores_to_see(user).order_by("name")}
        if rule and rule.store:
            self._stores[rule.store.name] = rule.store
        self._set("store", [("", _("All stores")), *((name, name) for name in self._stores)])
        self._set("verdict", [("", _("All verdicts")), *((name, str(text)) for name, text in VERDICTS.items())])

    def _set(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def _stored_text(self) -> str:
        if self._stored == MASK:
            return _("The stored webhook cannot be decrypted with CREDENTIALS_KEYS. Enter it again, or remove it.")
        return _("Stored: %(address)s Leave this empty to keep it.") % {"address": self._stored}

    @property
    def has_secrets(self) -> bool:
        """Whether something was entered that the page does not repeat."""
        return any(self.data.get(name) for name in ("webhook_url", "webhook_secret"))

    def clean_webhook_url(self) -> str:
        url: str = self.cleaned_data["webhook_url"].strip()
        if url:
            try:
                validate_endpoint_url(url.partition("?")[0])
            except ValidationError:
                raise ValidationError(_("Enter an http or https URL without a user and a fragment.")) from None
            try:
                check_address(url)
            except AddressRefusedError as error:
                raise ValidationError(text_of(error.problem)) from error
        return url

    def clean_emails(self) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(self.cleaned_data["emails"].split()))
        if len(found) > MAX_ADDRESSES:
            raise ValidationError(_("At most %(limit)s addresses.") % {"limit": MAX_ADDRESSES})
        for each in found:
            try:
                validate_email(each)
            except ValidationError:
                raise ValidationError(_("“%(address)s” is not an e-mail address.") % {"address": each}) from None
        return found

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if "threshold" in data and "what" in data:
            self._clean_threshold(What(data["what"]))
        if data.get("what") == What.COST and not data.get("currency") and "currency" in data:
            self.add_error("currency", _("Enter the currency of the cost."))
        if data.get("verdict") and "what" in data and What(data["what"]) not in OF_VERDICTS:
            self.add_error("verdict", _("Only bytes, uploads and cost can be limited to a verdict."))
        if data.get("webhook_url") and data.get("remove_webhook"):
            self.add_error("remove_webhook", _("Either enter another webhook, or remove the stored one."))
        is_kept = self._stored and not data.get("remove_webhook")
        if data.get("webhook_url") == "" and not is_kept and data.get("emails") == ():
            self.add_error("webhook_url", _("Enter a webhook or e-mail addresses."))
        if (data.get("quiet_from") is None) != (data.get("quiet_until") is None):
            self.add_error("quiet_until", _("Enter both times, or none."))
        return data

    def _clean_threshold(self, what: What) -> None:
        text = self.cleaned_data["threshold"].strip().replace(" ", "")
        factor = 1
        if what in (What.BYTES, What.GROWTH):
            unit = next((each for each in BYTES_UNITS if text.endswith(each)), "")
            factor, text = BYTES_UNITS.get(unit, 1), text.removesuffix(unit)
        field = forms.DecimalField(max_digits=18, decimal_places=6, validators=[MinValueValidator(Decimal(0))])
        try:
            number = field.clean(text)
        except ValidationError:
            self.add_error("threshold", _("Enter a number of at least 0, such as 10 or 1.5 TiB."))
        else:
            self.cleaned_data["threshold"] = number * factor

    def values(self) -> RuleValues:
        data = self.cleaned_data
        what = What(data["what"])
        return RuleValues(
            name=data["name"],
            what=what,
            threshold=data["threshold"],
            currency=data["currency"] if what is What.COST else "",
            store=self._stores.get(data["store"]),
            bucket=data["bucket"],
            verdict=data["verdict"],
            webhook_url=data["webhook_url"] or ("" if data.get("remove_webhook") else None),
            webhook_secret=data["webhook_secret"],
            emails=data["emails"],
            enabled=data["enabled"],
            quiet_from=_minute(data["quiet_from"]),
            quiet_until=_minute(data["quiet_until"]),
        )


def _minute(at: Any) -> int | None:
    return None if at is None else at.hour * 60 + at.minute


def _initial(rule: AlertRule) -> dict[str, Any]:
    quiet = {name: _clock(getattr(rule, name)) for name in ("quiet_from", "quiet_until")}
    plain = {name: getattr(rule, name) for name in ("name", "what", "currency", "bucket", "verdict")}
    return {
        **plain,
        **quiet,
        "threshold": _amount(rule),
        "enabled": rule.enabled,
        "emails": "\n".join(rule.emails),
        "store": rule.store.name if rule.store else "",
    }


def _clock(minute: int | None) -> str:
    return "" if minute is None else f"{minute // 60:02}:{minute % 60:02}"


def _amount(rule: AlertRule) -> str:
    """The largest unit in which the threshold is a whole number."""
    amount = rule.threshold
    if rule.what in (What.BYTES, What.GROWTH):
        for unit, size in BYTES_UNITS.items():
            if amount and amount % size == 0:
                return f"{amount / size:.0f} {unit}"
    return f"{amount.normalize():f}"
