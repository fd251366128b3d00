"""Every URL of the site; the shapes are fixed, see docs/architecture.md."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from dashboard.views import auth

urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", auth.login, name="login"),
    path("logout/", auth.logout, name="logout"),
    path("healthz", auth.healthz, name="healthz"),
]

handler400 = "dashboard.views.errors.bad_request"
handler403 = "dashboard.views.errors.permission_denied"
handler404 = "dashboard.views.errors.page_not_found"
