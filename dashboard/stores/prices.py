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
from uploads.domain.cost import Price, class_of
from uploads.models import Store
from uploads.selectors.prices import hidden_by_class, prices_of
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
        found: dict[str, PriceValues] = {}
        errors = []
        for words in lines:
            try:
                each = _parsed(words)
                if each.storage_class in found:
                    raise ValidationError(_("The storage class has a line already."))
                found[each.storage_class] = each
            except ValidationError as error:
                errors.append(f"“{' '.join(words)}”: {' '.join(error.messages)}")
        if errors:
            raise ValidationError(errors)
        return list(found.values())


def _parsed(words: list[str]) -> PriceValues:
    if len(words) != 3:
        raise ValidationError(_("A line has a storage class, a price and a currency, with spaces between them."))
    name, amount, currency = words[0], words[1], words[2].upper()
    if len(name) > 255:
        raise ValidationError(_("The name of the storage class is too long."))
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise ValidationError(_("The currency has three letters, such as USD."))
    try:
        return PriceValues(class_of(name), AMOUNT.clean(amount), currency)
    except ValidationError:
        raise ValidationError(_("The price is a number of at least 0, such as 0.023.")) from None


@require_http_methods(["GET", "POST"])
@explains_failures
def prices(request: HttpRequest, store: str) -> HttpResponseBase:
    found = access.store_to_change_inventory_of(request.user, store)
    if request.method == "POST" and request.POST.get("action") == "reset":
        set_prices(access.actor(request.user), found, [])
        messages.success(request, _("%(store)s has the published prices again.") % {"store": found.name})
        return see_other(reverse("store-prices", args=[found.name]))
    form = PricesForm(request.POST) if request.method == "POST" else PricesForm(initial=_initial(found))
    if request.method == "POST" and form.is_valid():
        set_prices(access.actor(request.user), found, form.cleaned_data["prices"])
        messages.success(request, _("The prices of %(store)s were saved.") % {"store": found.name})
        return see_other(reverse("store-prices", args=[found.name]))
    context = {"store": found, "form": form, "rows": _rows(found), "has_own": found.prices.exists()}
    return render(request, "stores/prices.html", context, status=400 if form.errors else 200)


def _rows(store: Store) -> list[tuple[str, Price | None, int]]:
    """Each storage class with a price or hidden bytes: its name, the price in use, and the bytes."""
    sizes, known = hidden_by_class(store), prices_of([store]).by_store[store.pk]
    return [(name, known.get(name), sizes.get(name, 0)) for name in sorted({*known, *sizes})]


def _initial(store: Store) -> dict[str, Any]:
    rows = store.prices.all()
    lines = [f"{row.storage_class} {row.per_gib_month.normalize():f} {row.currency}" for row in rows]
    return {"prices": "\n".join(lines)}
