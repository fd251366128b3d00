"""Encrypt the addresses of webhooks, with which anybody can send messages to their receivers."""

from __future__ import annotations

from typing import Any

from django.db import migrations

from uploads.models.fields import EncryptedTextField, Sealed


def encrypt(apps: Any, _editor: Any) -> None:
    """The column has plain text, which a loaded row takes for a token."""
    rules = apps.get_model("uploads", "AlertRule").objects
    for rule in rules.exclude(webhook_url="").iterator():
        rules.filter(pk=rule.pk).update(webhook_url=rule.webhook_url.token)


def decrypt(apps: Any, _editor: Any) -> None:
    """Raises SecretUnreadable if no key decrypts an address: delete such rules before going back."""
    rules = apps.get_model("uploads", "AlertRule").objects
    for rule in rules.exclude(webhook_url="").iterator():
        rules.filter(pk=rule.pk).update(webhook_url=Sealed(rule.webhook_url.open()))


class Migration(migrations.Migration):
    dependencies = [("uploads", "0049_lifecycle_readings")]

    operations = [
        migrations.AlterField(
            model_name="alertrule", name="webhook_url", field=EncryptedTextField(blank=True, default="")
        ),
        migrations.RunPython(encrypt, decrypt),
    ]
