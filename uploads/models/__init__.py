"""The database: the truth about stores, transfers and operations."""

from uploads.models.access_token import AccessToken, TokenPlace
from uploads.models.alert import Alert, AlertDelivery, AlertRule
from uploads.models.audit import AuditEntry, AuditRemoval
from uploads.models.dismissal import Dismissal
from uploads.models.grant import Grant
from uploads.models.inventory import InventoryBucket, InventoryDay, InventorySettings, InventorySum, InventoryUpload
from uploads.models.inventory_view import InventoryView
from uploads.models.invitation import Invitation
from uploads.models.lifecycle import LifecycleChange, LifecycleReading, LifecycleState, LifecycleVersion
from uploads.models.list_choice import ListChoice
from uploads.models.node import StagingNode
from uploads.models.operation import Operation, OperationItem
from uploads.models.price import StorePrice
from uploads.models.round import Round
from uploads.models.scan import BucketScan, ObjectsBatch, PartsBatch, Scan
from uploads.models.second_factor import RecoveryCode, TotpDevice
from uploads.models.session import Session
from uploads.models.sign_on_identity import SignOnIdentity
from uploads.models.store import NamedBucket, Store
from uploads.models.store_check import StoreCheck
from uploads.models.sweep import RepeatingSweep, Sweep, SweepItem, SweepPlace
from uploads.models.transfer import Part, StoreUpload, Transfer

__all__ = [
    "AccessToken",
    "Alert",
    "AlertDelivery",
    "AlertRule",
    "AuditEntry",
    "AuditRemoval",
    "BucketScan",
    "Dismissal",
    "Grant",
    "InventoryBucket",
    "InventoryDay",
    "InventorySettings",
    "InventorySum",
    "InventoryUpload",
    "InventoryView",
    "Invitation",
    "LifecycleChange",
    "LifecycleReading",
    "LifecycleState",
    "LifecycleVersion",
    "ListChoice",
    "NamedBucket",
    "ObjectsBatch",
    "Operation",
    "OperationItem",
    "Part",
    "PartsBatch",
    "RecoveryCode",
    "RepeatingSweep",
    "Round",
    "Scan",
    "Session",
    "SignOnIdentity",
    "StagingNode",
    "Store",
    "StoreCheck",
    "StorePrice",
    "StoreUpload",
    "Sweep",
    "SweepItem",
    "SweepPlace",
    "TokenPlace",
    "TotpDevice",
    "Transfer",
]
