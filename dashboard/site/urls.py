"""Every URL of the site. docs/architecture.md describes them; they do not change."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, register_converter

from dashboard import auth, guide, monitoring
from dashboard.account import pages as account
from dashboard.alerts import pages as alerts
from dashboard.audit import pages as audit
from dashboard.inventory import pages as inventory
from dashboard.inventory import saved_views, scans
from dashboard.inventory import settings as inventory_settings
from dashboard.inventory import trend as inventory_trend
from dashboard.lifecycle import buckets as lifecycle_buckets
from dashboard.lifecycle import pages as lifecycle
from dashboard.operations import listed as operations_list
from dashboard.operations import pages as operations
from dashboard.operations import steps as operations_steps
from dashboard.overview import pages as overview
from dashboard.people import groups, invitations, tokens, users
from dashboard.search import pages as search
from dashboard.shared.lists.choosing import choose_columns
from dashboard.shared.routes import BucketConverter, StoreConverter
from dashboard.site.catalog import catalog
from dashboard.sso import pages as sso
from dashboard.staging import pages as staging
from dashboard.stores import check, checks_list, prices, setup
from dashboard.stores import pages as stores
from dashboard.sweeps import listed as sweeps_list
from dashboard.sweeps import pages as sweeps
from dashboard.sweeps import repeating
from dashboard.sweeps.new import new_sweep
from dashboard.transfers import known, new, receive, received, steps, tus
from dashboard.transfers import pages as transfers
from dashboard.uploads import abort, compare, complete, detail, facts, listing

register_converter(BucketConverter, "bucket")
register_converter(StoreConverter, "store")

bucket_patterns: list[URLPattern | URLResolver] = [
    path("", listing.listing, name="uploads"),
    path("facts/", facts.facts, name="facts"),
    path("compare/", compare.compare, name="compare"),
    path("detail/", detail.detail, name="upload"),
    path("survey/", facts.part_summary_fragment, name="survey"),
    path("abort/", abort.abort, name="abort"),
    path("complete/", complete.complete, name="complete"),
]

transfer_patterns: list[URLPattern | URLResolver] = [
    path("", transfers.transfers, name="transfers"),
    path("new/", receive.new_transfer, name="new-transfer"),
    path("new/buckets/", new.buckets, name="new-transfer-buckets"),
    path("new/plan/", new.plan, name="new-transfer-plan"),
    path("new/existing/", new.existing, name="new-transfer-existing"),
    path("new/check/", new.check, name="new-transfer-check"),
    path("new/known/", known.known, name="new-transfer-known"),
    path("steps/", steps.steps, name="transfers-steps"),
    path("<uuid:transfer_id>/", transfers.transfer, name="transfer"),
    path("<uuid:transfer_id>/received/", received.received, name="transfer-received"),
    path("<uuid:transfer_id>/pause/", transfers.pause, name="transfer-pause"),
    path("<uuid:transfer_id>/resume/", transfers.resume, name="transfer-resume"),
    path("<uuid:transfer_id>/cancel/", transfers.cancel, name="transfer-cancel"),
    path("<uuid:transfer_id>/retry/", transfers.retry, name="transfer-retry"),
    path("<uuid:transfer_id>/verify/", transfers.verify, name="transfer-verify"),
    path("<uuid:transfer_id>/dismiss-orphan/", transfers.dismiss_orphan, name="transfer-dismiss-orphan"),
]

user_patterns: list[URLPattern | URLResolver] = [
    path("", users.users, name="users"),
    path("new/", users.new_user, name="new-user"),
    path("<int:user_id>/", users.user, name="user"),
    path("<int:user_id>/email/", users.set_email, name="user-email"),
    path("<int:user_id>/groups/", users.set_groups, name="user-groups"),
    path("<int:user_id>/disable/", users.disable, name="disable-user"),
    path("<int:user_id>/enable/", users.enable, name="enable-user"),
    path("<int:user_id>/remove-administrator/", users.remove_staff, name="remove-administrator"),
    path("<int:user_id>/sign-out/", users.sign_out, name="sign-out-user"),
    path("<int:user_id>/unlock/", users.unlock, name="unlock-user"),
    path("<int:user_id>/second-factor/", users.reset_second_factor, name="reset-second-factor"),
    path("<int:user_id>/link/", users.new_link, name="new-link"),
    path("<int:user_id>/link/revoke/", users.revoke_link, name="revoke-link"),
    path("grants/<int:grant_id>/remove/", users.remove, name="remove-grant"),
    path("groups/", groups.groups, name="groups"),
    path("groups/<int:group_id>/", groups.group, name="group"),
    path("groups/<int:group_id>/members/", groups.members, name="group-members"),
    path("groups/<int:group_id>/delete/", groups.delete, name="delete-group"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    # First, because the URL of each file that arrives is looked up twice: by the web server, and by Django.
    path("files/", tus.files, name="files"),
    path("files/together/", tus.files_together, name="files-together"),
    path("files/<uuid:transfer_id>", tus.file, name="file"),
    path("", overview.overview, name="overview"),
    path("first-steps/dismiss/", overview.dismiss_first_steps, name="dismiss-first-steps"),
    path("login/", auth.login, name="login"),
    path("login/sso/", sso.start, name="sso-start"),
    path("login/sso/callback/", sso.callback, name="sso-callback"),
    path("login/code/", auth.code, name="login-code"),
    path("logout/", auth.logout, name="logout"),
    path("account/", account.account, name="account"),
    path("account/password/", account.password, name="password"),
    path("account/second-factor/", account.second_factor_page, name="second-factor"),
    path("account/sign-out-everywhere/", account.sign_out_everywhere, name="sign-out-everywhere"),
    path("catalog/<str:language>/<str:version>.js", catalog, name="catalog"),
    path("guide/", guide.guide, name="guide"),
    path("healthz", monitoring.healthz, name="healthz"),
    path("metrics", monitoring.metrics, name="metrics"),
    path("queue/", monitoring.queue, name="queue"),
    path("search/", search.search, name="search"),
    path("stores/", stores.stores, name="stores"),
    path("stores/new/", setup.add_store, name="add-store"),
    path("stores/<store:store>/state/", overview.store_state, name="store-state"),
    path("stores/<store:store>/", stores.buckets, name="store"),
    path("stores/<store:store>/edit/", setup.edit_store, name="edit-store"),
    path("stores/<store:store>/disable/", setup.disable_store, name="disable-store"),
    path("stores/<store:store>/enable/", setup.enable_store, name="enable-store"),
    path("stores/<store:store>/check/", check.checks, name="store-checks"),
    path("stores/<store:store>/check/reset/", check.reset, name="reset-found"),
    path("stores/<store:store>/check/<uuid:check_id>/", check.check, name="store-check"),
    path("stores/<store:store>/open/", stores.open_bucket, name="open-bucket"),
    path("stores/<store:store>/<bucket:bucket>/lifecycle/", lifecycle.lifecycle, name="lifecycle"),
    path("stores/<store:store>/<bucket:bucket>/uploads/", include(bucket_patterns)),
    path("stores/<store:store>/inventory/", inventory_settings.store_inventory, name="store-inventory"),
    path("stores/<store:store>/prices/", prices.prices, name="store-prices"),
    path("lifecycle/", lifecycle_buckets.buckets, name="lifecycle-buckets"),
    path("inventory/scans/", scans.scans, name="scans"),
    path("inventory/scans/<uuid:scan_id>/", scans.scan, name="scan"),
    path("inventory/scans/<uuid:scan_id>/cancel/", scans.cancel, name="cancel-scan"),
    path("sweeps/", sweeps_list.sweeps, name="sweeps"),
    path("sweeps/new/", new_sweep, name="new-sweep"),
    path("sweeps/repeating/", repeating.repeating_sweeps, name="repeating-sweeps"),
    path("sweeps/repeating/<uuid:repeating_id>/", repeating.step_of_repeating, name="change-repeating-sweep"),
    path("sweeps/repeating/<uuid:repeating_id>/edit/", repeating.edit_repeating, name="edit-repeating-sweep"),
    path("sweeps/<uuid:sweep_id>/", sweeps.sweep, name="sweep"),
    path("sweeps/<uuid:sweep_id>/approve/", sweeps.approve, name="sweep-approve"),
    path("sweeps/<uuid:sweep_id>/run/", sweeps.run, name="sweep-run"),
    path("sweeps/<uuid:sweep_id>/pause/", sweeps.pause, name="sweep-pause"),
    path("sweeps/<uuid:sweep_id>/resume/", sweeps.resume, name="sweep-resume"),
    path("sweeps/<uuid:sweep_id>/cancel/", sweeps.cancel, name="sweep-cancel"),
    path("operations/", operations_list.operations, name="operations"),
    path("checks/", checks_list.checks_of_all_stores, name="checks"),
    path("operations/steps/", operations_steps.steps, name="operations-steps"),
    path("operations/<uuid:operation_id>/", operations.detail, name="operation"),
    path("operations/<uuid:operation_id>/pause/", operations.pause, name="operation-pause"),
    path("operations/<uuid:operation_id>/resume/", operations.resume, name="operation-resume"),
    path("operations/<uuid:operation_id>/stop/", operations.stop, name="operation-stop"),
    path("transfers/", include(transfer_patterns)),
    path("lists/<slug:name>/", choose_columns, name="list-columns"),
    path("inventory/trend/", inventory_trend.trend, name="trend"),
    path("inventory/views/", saved_views.save, name="inventory-views"),
    path("inventory/views/<int:view_id>/rename/", saved_views.rename, name="rename-inventory-view"),
    path("inventory/views/<int:view_id>/delete/", saved_views.delete, name="delete-inventory-view"),
    path("staging/", staging.staging, name="staging"),
    path("audit/", audit.audit, name="audit"),
    path("alerts/", alerts.alerts, name="alerts"),
    path("alerts/new/", alerts.new_rule, name="new-alert-rule"),
    path("alerts/<int:rule_id>/", alerts.rule, name="alert-rule"),
    path("alerts/<int:rule_id>/change/", alerts.change, name="change-alert-rule"),
    path("inventory/", inventory.inventory, name="inventory"),
    path("invitation/", invitations.invitation, name="invitation"),
    path("users/", include(user_patterns)),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/new/", tokens.new_token, name="new-token"),
    path("tokens/<int:token_id>/revoke/", tokens.revoke, name="revoke-token"),
]

handler400 = "dashboard.shared.errors.bad_request"
handler403 = "dashboard.shared.errors.permission_denied"
handler404 = "dashboard.shared.errors.page_not_found"
handler500 = "dashboard.shared.unprepared.server_error"
