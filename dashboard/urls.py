"""Every URL of the site; the shapes are fixed, see docs/architecture.md."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, register_converter

from dashboard.routes import BucketConverter, StoreConverter
from dashboard.views import (
    abort,
    audit,
    auth,
    complete,
    files,
    known_transfers,
    listing,
    monitoring,
    new_transfer,
    new_transfer_form,
    operations,
    overview,
    staging,
    store_check,
    store_setup,
    stores,
    transfers,
    upload_facts,
    uploads,
)

register_converter(BucketConverter, "bucket")
register_converter(StoreConverter, "store")

bucket_patterns: list[URLPattern | URLResolver] = [
    path("", listing.listing, name="uploads"),
    path("facts/", upload_facts.facts, name="facts"),
    path("detail/", uploads.detail, name="upload"),
    path("survey/", upload_facts.survey_fragment, name="survey"),
    path("abort/", abort.abort, name="abort"),
    path("complete/", complete.complete, name="complete"),
]

transfer_patterns: list[URLPattern | URLResolver] = [
    path("", transfers.transfers, name="transfers"),
    path("new/", new_transfer.new_transfer, name="new-transfer"),
    path("new/buckets/", new_transfer_form.buckets, name="new-transfer-buckets"),
    path("new/plan/", new_transfer_form.plan, name="new-transfer-plan"),
    path("new/existing/", new_transfer_form.existing, name="new-transfer-existing"),
    path("new/check/", new_transfer_form.check, name="new-transfer-check"),
    path("new/known/", known_transfers.known, name="new-transfer-known"),
    path("<uuid:transfer_id>/", transfers.transfer, name="transfer"),
    path("<uuid:transfer_id>/pause/", transfers.pause, name="transfer-pause"),
    path("<uuid:transfer_id>/resume/", transfers.resume, name="transfer-resume"),
    path("<uuid:transfer_id>/cancel/", transfers.cancel, name="transfer-cancel"),
    path("<uuid:transfer_id>/retry/", transfers.retry, name="transfer-retry"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
    path("login/", auth.login, name="login"),
    path("logout/", auth.logout, name="logout"),
    path("healthz", monitoring.healthz, name="healthz"),
    path("metrics", monitoring.metrics, name="metrics"),
    path("queue/", monitoring.queue, name="queue"),
    path("stores/", stores.stores, name="stores"),
    path("stores/new/", store_setup.add_store, name="add-store"),
    path("stores/<store:store>/state/", overview.store_state, name="store-state"),
    path("stores/<store:store>/", stores.buckets, name="store"),
    path("stores/<store:store>/edit/", store_setup.edit_store, name="edit-store"),
    path("stores/<store:store>/disable/", store_setup.disable_store, name="disable-store"),
    path("stores/<store:store>/enable/", store_setup.enable_store, name="enable-store"),
    path("stores/<store:store>/check/", store_check.checks, name="store-checks"),
    path("stores/<store:store>/check/reset/", store_check.reset, name="reset-found"),
    path("stores/<store:store>/check/<uuid:check_id>/", store_check.check, name="store-check"),
    path("stores/<store:store>/open/", stores.open_bucket, name="open-bucket"),
    path("stores/<store:store>/<bucket:bucket>/uploads/", include(bucket_patterns)),
    path("operations/<uuid:operation_id>/", operations.detail, name="operation"),
    path("transfers/", include(transfer_patterns)),
    path("files/", files.files, name="files"),
    path("files/<uuid:transfer_id>", files.file, name="file"),
    path("staging/", staging.staging, name="staging"),
    path("audit/", audit.audit, name="audit"),
]

handler400 = "dashboard.views.errors.bad_request"
handler403 = "dashboard.views.errors.permission_denied"
handler404 = "dashboard.views.errors.page_not_found"
