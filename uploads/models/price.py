"""Prices of stores, as administrators enter them. They take the place of the published prices of the provider."""

from __future__ import annotations

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models

from uploads.models.store import Store


class StorePrice(models.Model):
    """What a GiB in a storage class of a store costs in a month. `currency` is a code of ISO 4217."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="prices")
    storage_class = models.CharField(max_length=255)
    per_gib_month = models.DecimalField(max_digits=18, decimal_places=9, validators=[MinValueValidator(Decimal(0))])
    currency = models.CharField(max_length=3)

    class Meta:
        ordering = ["storage_class"]
        constraints = [models.UniqueConstraint(fields=["store", "storage_class"], name="one_price_per_class")]

    def __str__(self) -> str:
        return f"{self.per_gib_month} {self.currency} for {self.storage_class}"
