"""Every URL of the site; the shapes are fixed, see docs/architecture.md."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from dashboard import routes as routes  # registers the path converters
from dashboard.views import abort, auth, complete, operations, stores, uploads

bucket_patterns: list[URLPattern | URLResolver] = [
    path("", uploads.listing, name="uploads"),
    path("facts/", uploads.facts, name="facts"),
    path("detail/", uploads.detail, name="upload"),
    path("survey/", uploads.survey_fragment, name="survey"),
    path("abort/", abort.abort, name="abort"),
    path("complete/", complete.complete, name="complete"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", auth.login, name="login"),
    path("logout/", auth.logout, name="logout"),
    path("healthz", auth.healthz, name="healthz"),
    path("stores/", stores.stores, name="stores"),
    path("stores/new/", stores.add_store, name="add-store"),
    path("stores/<store:store>/", stores.buckets, name="store"),
    path("stores/<store:store>/edit/", stores.edit_store, name="edit-store"),
    path("stores/<store:store>/open/", stores.open_bucket, name="open-bucket"),
    path("stores/<store:store>/<bucket:bucket>/uploads/", include(bucket_patterns)),
    path("operations/<uuid:operation_id>/", operations.detail, name="operation"),
]

handler400 = "dashboard.views.errors.bad_request"
handler403 = "dashboard.views.errors.permission_denied"
handler404 = "dashboard.views.errors.page_not_found"
