"""The prices of a store: what is entered, and the published ones of its provider."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from dashboard.shared.responses import explains_failures, see_other
from uploads import access
from uploads.domain.cost import class_of, default_prices
from uploads.models import Store
from uploads.services.stores.prices import PriceValues, set_prices

MAX_PRICES = 50
AMOUNT = forms.DecimalField(min_value=Decimal(0), max_digits=18, decimal_places=9)


class PricesForm(forms.Form):
    """One line for each storage class: its name, the price per GiB and month, and the currency."""

    prices = forms.CharField(
        label=gettext_lazy("Prices"),
        required=False,
        max_length=20_000,
        help_text=gettext_lazy(
            "One line for each storage class: its name, the price per GiB and month, and the currency, such as "
            "“STANDARD 0.023 USD”. A class without a line has the published price, if there is one."
        ),
        widget=forms.Textarea(attrs={"class": "form-control mono", "rows": "6", "spellcheck": "false"}),
    )

    def clean_prices(self) -> list[PriceValues]:
        lines = [line.split() for line in self.cleaned_data["prices"].splitlines() if line.strip()]
        if len(lines) > MAX_PRICES:
            raise ValidationError(_("At most %(limit)s prices.") % {"limit": MAX_PRICES})
        found = [_parsed(line) for line in lines]
        names = [each.storage_class for each in found]
        if len(names) != len(set(names)):
            raise ValidationError(_("A storage class has two lines."))
        return found


def _parsed(words: list[str]) -> PriceValues:
    text = _("“%(line)s” is not a storage class, a price of at least 0 and a currency such as USD.")
    wrong = ValidationError(text % {"line": " ".join(words)})
    if len(words) != 3 or len(words[0]) > 255:
        raise wrong
    name, amount, currency = words[0], words[1], words[2].upper()
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise wrong
    try:
        return PriceValues(class_of(name), AMOUNT.clean(amount), currency)
    except ValidationError:
        raise wrong from None


@require_http_methods(["GET", "POST"])
@explains_failures
def prices(request: HttpRequest, store: str) -> HttpResponseBase:
    found = access.store_to_change_inventory_of(request.user, store)
    form = PricesForm(request.POST) if request.method == "POST" else PricesForm(initial=_initial(found))
    if request.method == "POST" and form.is_valid():
        set_prices(access.actor(request.user), found, form.cleaned_data["prices"])
        messages.success(request, _("The prices of %(store)s were saved.") % {"store": found.name})
        return see_other(reverse("store-prices", args=[found.name]))
    published = sorted(default_prices(found.provider, found.region).items())
    context = {"store": found, "form": form, "published": published}
    return render(request, "stores/prices.html", context, status=400 if form.errors else 200)


def _initial(store: Store) -> dict[str, Any]:
    rows = store.prices.all()
    lines = [f"{row.storage_class} {row.per_gib_month.normalize():f} {row.currency}" for row in rows]
    return {"prices": "\n".join(lines)}
