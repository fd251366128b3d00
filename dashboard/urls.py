"""Every URL of the site; the shapes are fixed, see docs/architecture.md."""

from __future__ import annotations

urlpatterns: list[object] = []
