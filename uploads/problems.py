"""Everything that is reported to people, as codes with parameters. Pure; `dashboard.shared.messages` has the texts.

Code below the dashboard writes no sentences. It names a code, and the numbers and names that its text needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_SURROGATES = re.compile("[\ud800-\udfff]")

Param = str | int | float | bool | None | Sequence[str]
"""Parameters survive a JSON column. Names that end in `_bytes` are sizes, `_seconds` durations, `_at` times (ISO)."""


class Code(StrEnum):
    """Every code of our own, in the style of the S3 API's codes. Each has a text in `dashboard/shared/messages/`."""

    # --- Work
    INTERNAL_ERROR = "InternalError"
    WORKER_LOST = "WorkerLost"

    # --- The database
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"
    DATABASE_BUSY = "DatabaseBusy"
    DATABASE_FULL = "DatabaseFull"
    DATABASE_READ_ONLY = "DatabaseReadOnly"

    # --- Requests
    ORIGIN_UNTRUSTED = "OriginUntrusted"
    ORIGIN_SCHEME = "OriginSchemeDiffers"
    ORIGIN_HIDDEN = "OriginHidden"
    REFERER_MISSING = "RefererMissing"
    REFERER_INSECURE = "RefererInsecure"
    CSRF_COOKIE_MISSING = "CsrfCookieMissing"
    FORM_EXPIRED = "FormExpired"

    # --- Access
    NOT_SIGNED_IN = "NotSignedIn"
    SIGN_IN_BUSY = "SignInBusy"
    ACCOUNT_LOCKED = "AccountLocked"
    ADDRESS_LOCKED = "AddressLocked"
    CODE_WRONG = "CodeWrong"
    CODE_TOO_SOON = "CodeTooSoon"
    SECOND_FACTOR_EXISTS = "SecondFactorExists"
    SECOND_FACTOR_REQUIRED = "SecondFactorRequired"
    ACCESS_DENIED = "AccessDenied"
    ROLE_REQUIRED = "RoleRequired"
    NO_ROLE = "NoRole"
    ROLE_LOST = "RoleLost"
    TOKEN_LOST = "TokenLost"  # noqa: S105 - a code
    ACTOR_DISABLED = "ActorDisabled"
    TOKEN_SCOPE_REQUIRED = "TokenScopeRequired"  # noqa: S105
    NO_SUCH_PLACE = "NoSuchPlace"
    UPLOAD_OWNED = "UploadOwned"
    UPLOAD_PART_LATELY = "UploadPartLately"
    UPLOAD_STARTED_LATELY = "UploadStartedLately"
    UPLOAD_PARTS_REFUSED = "UploadPartsRefused"
    UPLOAD_PARTS_UNREAD = "UploadPartsUnread"
    UPLOAD_PARTS_UNDATED = "UploadPartsUndated"
    UPLOAD_STALLED = "UploadStalled"
    UPLOAD_TO_CHECK_AGAIN = "UploadToCheckAgain"
    UPLOAD_PART_LONG_AGO = "UploadPartLongAgo"
    UPLOAD_NEVER_HAD_PARTS = "UploadNeverHadParts"
    UPLOAD_SUPERSEDED = "UploadSuperseded"
    UPLOAD_COMPLETABLE = "UploadCompletable"
    OBJECT_UNDATED = "ObjectUndated"
    SSO_UNAVAILABLE = "SingleSignOnUnavailable"
    SSO_BUSY = "SingleSignOnBusy"
    SSO_EXPIRED = "SingleSignOnExpired"
    SSO_REFUSED = "SingleSignOnRefused"
    SSO_RESPONSE_INVALID = "SingleSignOnInvalid"
    SSO_GROUPS_LEFT_OUT = "SingleSignOnGroupsLeftOut"
    SSO_NO_GROUP = "SingleSignOnNoGroup"
    SSO_NO_ACCOUNT = "SingleSignOnNoAccount"
    SSO_EMAIL_AMBIGUOUS = "SingleSignOnEmailAmbiguous"
    SSO_USER_DISABLED = "AccountDisabled"
    NO_SUCH_PAGE = "NoSuchPage"
    NO_SUCH_STORE = "NoSuchStore"
    NO_SUCH_CHECK = "NoSuchCheck"
    NO_SUCH_OPERATION = "NoSuchOperation"
    NO_SUCH_SCAN = "NoSuchScan"
    SCAN_CANCELLED = "ScanCancelled"
    STORE_DISABLED = "StoreDisabled"
    VALUE_OUT_OF_RANGE = "ValueOutOfRange"
    NO_SUCH_SCHEDULE = "NoSuchSchedule"
    ALIVE_AFTER_DEAD = "AliveAfterDead"
    NO_SUCH_TRANSFER = "NoSuchTransfer"
    OPERATION_DELETED = "OperationDeleted"
    TRANSFER_DELETED = "TransferDeleted"

    # --- Access tokens
    TOKEN_UNKNOWN = "TokenUnknown"  # noqa: S105 - a code
    TOKEN_EXPIRED = "TokenExpired"  # noqa: S105 - a code
    TOKEN_REVOKED = "TokenRevoked"  # noqa: S105 - a code
    TOKEN_USER_DISABLED = "TokenUserDisabled"  # noqa: S105 - a code
    TOKEN_NOT_ACCEPTED = "TokenNotAccepted"  # noqa: S105 - a code
    TOKEN_NAME_TAKEN = "TokenNameTaken"  # noqa: S105 - a code
    TOO_MANY_TOKENS = "TooManyTokens"
    NO_SUCH_TOKEN = "NoSuchToken"  # noqa: S105 - a code

    # --- Saved views of the inventory
    NO_SUCH_VIEW = "NoSuchView"
    VIEW_NAME_TAKEN = "ViewNameTaken"
    TOO_MANY_VIEWS = "TooManyViews"

    # --- Users
    NO_SUCH_USER = "NoSuchUser"
    NO_SUCH_GROUP = "NoSuchGroup"
    NO_SUCH_GRANT = "NoSuchGrant"
    USERNAME_TAKEN = "UsernameTaken"
    GROUP_NAME_TAKEN = "GroupNameTaken"
    GRANT_EXISTS = "GrantExists"
    LAST_ADMINISTRATOR = "LastAdministrator"
    INVITED_USER_DISABLED = "InvitedUserDisabled"
    INVITATION_UNKNOWN = "InvitationUnknown"
    INVITATION_USED = "InvitationUsed"
    INVITATION_EXPIRED = "InvitationExpired"
    INVITATION_REVOKED = "InvitationRevoked"

    # --- The object store client
    KEY_EMPTY = "KeyEmpty"
    KEY_HAS_NUL = "KeyHasNul"
    KEY_NOT_UNICODE = "KeyNotUnicode"
    KEY_TOO_LONG = "KeyTooLong"
    KEY_NOT_LISTABLE = "KeyNotListable"
    KEY_STARTS_WITH_SLASH = "KeyStartsWithSlash"
    KEY_ENDS_WITH_SLASH = "KeyEndsWithSlash"
    KEY_SEGMENT_TOO_LONG = "KeySegmentTooLong"
    KEY_IS_NOT_A_PATH = "KeyIsNotAPath"
    BUCKET_NAME_INVALID = "BucketNameInvalid"
    BUCKET_NAME_NOT_DNS = "BucketNameNotDns"
    UPLOAD_ID_EMPTY = "UploadIdEmpty"
    PARAMETER_NOT_TEXT = "ParameterNotText"
    PARAMETER_OUT_OF_RANGE = "ParameterOutOfRange"
    ACCESS_KEY_NOT_ASCII = "AccessKeyNotAscii"
    SESSION_TOKEN_NOT_ASCII = "SessionTokenNotAscii"  # noqa: S105
    REGION_NOT_ASCII = "RegionNotAscii"
    HEADER_NOT_ASCII = "HeaderNotAscii"
    METADATA_NAME_INVALID = "MetadataNameInvalid"
    METADATA_VALUE_NOT_ASCII = "MetadataValueNotAscii"
    ENDPOINT_URL_MALFORMED = "EndpointUrlMalformed"
    ENDPOINT_URL_INVALID = "EndpointUrlInvalid"
    UNKNOWN_SIGNATURE = "UnknownSignature"
    UNKNOWN_PROVIDER = "UnknownProvider"
    OVERWRITE_NOT_PREVENTABLE = "OverwriteNotPreventable"
    COMPLETE_WITHOUT_PARTS = "CompleteWithoutParts"
    PARTS_NOT_ASCENDING = "PartsNotAscending"
    LIFECYCLE_NOT_WRITABLE = "LifecycleNotWritable"
    FILE_TOO_SHORT = "FileTooShort"
    FILE_UNREADABLE = "FileUnreadable"
    REQUEST_NOT_WRITABLE = "RequestNotWritable"
    CA_BUNDLE_MISSING = "CaBundleMissing"
    CA_BUNDLE_OUTSIDE = "CaBundleOutside"
    ADDRESS_REFUSED = "AddressRefused"
    ADDRESS_OF_THIS_MACHINE = "AddressOfThisMachine"
    ADDRESS_OF_SERVICE = "AddressOfService"
    ADDRESS_NOT_IN_NETWORKS = "AddressNotInNetworks"
    NOT_AN_S3_ENDPOINT = "NotAnS3Endpoint"
    SECRET_UNREADABLE = "SecretUnreadable"  # noqa: S105
    TLS_FAILED = "TlsFailed"
    CERTIFICATE_NOT_TRUSTED = "CertificateNotTrusted"
    CONNECTION_FAILED = "ConnectionFailed"
    CONNECTION_STALLED = "ConnectionStalled"
    CONNECTION_LOST = "ConnectionLost"
    PAGE_TIME_USED_UP = "PageTimeUsedUp"
    STORE_BUSY = "StoreBusy"
    STORES_BUSY = "StoresBusy"
    STORE_NOT_ANSWERING = "StoreNotAnswering"
    GATEWAY_ERROR = "GatewayError"
    ERROR_WITHOUT_MESSAGE = "ErrorWithoutMessage"
    BUCKET_REGION = "BucketRegion"
    REDIRECT_NOT_FOLLOWED = "RedirectNotFollowed"
    CRC64_DIFFERS = "Crc64Differs"
    ETAG_DIFFERS = "EtagDiffers"
    RESPONSE_TOO_LARGE = "ResponseTooLarge"
    RESPONSE_NOT_HTTP = "ResponseNotHttp"
    RESPONSE_NOT_OF_THIS_API = "ResponseNotOfThisApi"
    RESPONSE_EMPTY = "ResponseEmpty"
    RESPONSE_HAS_DTD = "ResponseHasDtd"
    RESPONSE_NOT_XML = "ResponseNotXml"
    RESPONSE_TOO_COMPLEX = "ResponseTooComplex"
    RESPONSE_ELEMENT_UNEXPECTED = "ResponseElementUnexpected"
    RESPONSE_NUMBER_INVALID = "ResponseNumberInvalid"
    RESPONSE_MARKER_NOT_UTF8 = "ResponseMarkerNotUtf8"
    RESPONSE_WITHOUT_UPLOAD_ID = "ResponseWithoutUploadId"
    RESPONSE_WITHOUT_ETAG = "ResponseWithoutEtag"
    RESPONSE_WITH_BODY = "ResponseWithBody"
    RESPONSE_FOR_OTHER_KEY = "ResponseForOtherKey"
    RESPONSE_FOR_OTHER_UPLOAD = "ResponseForOtherUpload"
    RESPONSE_NOT_OF_AN_OBJECT = "ResponseNotOfAnObject"
    RESPONSE_WITHOUT_SIZE = "ResponseWithoutSize"
    LISTING_WITHOUT_END = "ListingWithoutEnd"
    UPLOADS_UNREADABLE = "UploadsUnreadable"
    BUCKETS_NOT_SHOWN = "BucketsNotShown"
    PARTS_WITHOUT_END = "PartsWithoutEnd"
    UPLOADS_WITHOUT_END = "UploadsWithoutEnd"
    UPLOADS_NOT_READABLE = "UploadsNotReadable"
    LISTING_END_NOT_STATED = "ListingEndNotStated"
    WHOLE_KEY_NOT_LISTED = "WholeKeyNotListed"
    LISTING_ENDS_AT_GRANT = "ListingEndsAtGrant"
    WHOLE_KEY_HAS_MORE = "WholeKeyHasMore"

    # --- Store settings, connection tests and store checks
    INTERRUPTED = "Interrupted"
    DIED = "Died"
    ENDPOINT_CHANGED = "EndpointChanged"
    UPLOAD_MAY_EXIST = "UploadMayExist"
    LEFT_AT_OTHER_ENDPOINT = "LeftAtOtherEndpoint"
    STORE_NAME_INVALID = "StoreNameInvalid"
    STORE_CHANGED = "StoreChanged"
    ENDPOINT_URL_NOT_HTTP = "EndpointUrlNotHttp"
    ENDPOINT_URL_WITH_EXTRAS = "EndpointUrlWithExtras"
    ENDPOINT_NEEDED = "EndpointNeeded"
    ENDPOINT_NEEDED_FOR_REGION = "EndpointNeededForRegion"
    ENDPOINT_OF_OTHER_PROVIDER = "EndpointOfOtherProvider"
    REGION_NOT_IN_HOST_NAMES = "RegionNotInHostNames"
    SECRET_NEEDED_AGAIN = "SecretNeededAgain"  # noqa: S105
    SECRET_NEEDED_AT_NEW_ENDPOINT = "SecretNeededAtNewEndpoint"  # noqa: S105
    CHECKSUM_NOT_OF_PROVIDER = "ChecksumNotOfProvider"
    CHECKSUM_OF_NEW_STORE = "ChecksumOfNewStore"
    CHECKSUM_OF_OTHER_STORE = "ChecksumOfOtherStore"
    CHECKSUM_NOT_PROVED = "ChecksumNotProved"
    SIGNATURE_NOT_SUPPORTED = "SignatureNotSupported"
    SIGNATURE_OF_OTHER_PROVIDER = "SignatureOfOtherProvider"
    SIGNATURE_NOT_SUPPORTED_AT_ENDPOINT = "SignatureNotSupportedAtEndpoint"

    # --- Planning a transfer, its form, and its steps
    NEGATIVE_SIZE = "NegativeSize"
    FILE_TOO_LARGE = "FileTooLarge"
    FILE_TOO_LARGE_FOR_PARTS = "FileTooLargeForParts"
    PART_SIZE_AND_COUNT = "PartSizeAndCount"
    PART_SIZE_ZERO = "PartSizeZero"
    PART_COUNT_OUT_OF_RANGE = "PartCountOutOfRange"
    MORE_PARTS_THAN_BYTES = "MorePartsThanBytes"
    TOO_MANY_PARTS = "TooManyParts"
    PART_TOO_LARGE = "PartTooLarge"
    PART_TOO_SMALL = "PartTooSmall"
    STAGING_TOO_SMALL = "StagingTooSmall"
    OBJECT_EXISTS = "ObjectExists"
    DESTINATION_REFUSED = "DestinationRefused"
    OBJECT_CHECK_FAILED = "ObjectCheckFailed"
    KEY_BUSY = "KeyBusy"
    KEY_BUSY_RECEIVING = "KeyBusyReceiving"
    KEY_BUSY_RECEIVED = "KeyBusyReceived"
    KEY_BUSY_COMPLETING = "KeyBusyCompleting"
    KEY_BUSY_CANCELLING = "KeyBusyCancelling"
    KEY_BUSY_OTHER_OPERATOR = "KeyBusyOtherOperator"
    RESUMED_WITH_OTHER_SIZE = "ResumedWithOtherSize"
    RESUMED_WITH_OTHER_BYTES = "ResumedWithOtherBytes"
    RESUMED_ELSEWHERE = "ResumedElsewhere"
    RESUME_NEEDS_DIGEST = "ResumeNeedsDigest"
    DISCARDED_FOR_OTHER_FILE = "DiscardedForOtherFile"
    DISCARD_OTHER_KEY = "DiscardOtherKey"
    KEY_BUSY_ON_SILENT_NODE = "KeyBusyOnSilentNode"
    SHA256_UNAVAILABLE = "Sha256Unavailable"
    SHA256_NOT_REQUESTED = "Sha256NotRequested"
    SHA256_CONFLICT = "Sha256Conflict"
    CANNOT_PAUSE = "CannotPause"
    CANNOT_RESUME = "CannotResume"
    CANNOT_CANCEL = "CannotCancel"
    CANNOT_RETRY = "CannotRetry"
    CANNOT_VERIFY = "CannotVerify"
    STILL_NOT_VERIFIED = "StillNotVerified"
    BYTES_MISSING = "BytesMissing"
    STAGED_BYTES_LOST = "StagedBytesLost"
    WAITING_FOR_NODE = "WaitingForNode"
    DISK_OF_OTHER_NODE = "DiskOfOtherNode"
    NODE_NAME_TAKEN = "NodeNameTaken"
    DISK_NOT_HERE = "DiskNotHere"
    BROWSER_STOPPED = "BrowserStopped"
    FORM_STOPPED = "FormStopped"
    WAITING_FOR_SPACE = "WaitingForSpace"
    WAITING_FOR_STORE_SPACE = "WaitingForStoreSpace"
    WAITING_FOR_CREDENTIALS = "WaitingForCredentials"
    WAITING_FOR_CLOCK = "WaitingForClock"
    WAITING_FOR_SECRET = "WaitingForSecret"  # noqa: S105
    WAITING_FOR_SENDER = "WaitingForSender"
    WAITING_FOR_RETRY = "WaitingForRetry"
    OBJECT_MAY_BE_OURS = "ObjectMayBeOurs"
    UPLOAD_ENDED_BY_OTHERS = "UploadEndedByOthers"
    PARTS_NOT_IN_UPLOAD = "PartsNotInUpload"
    UPLOADS_NOT_LISTABLE = "UploadsNotListable"
    UPLOADS_TOO_MANY = "UploadsTooMany"
    NO_LOST_CREATE = "NoLostCreate"

    # --- Receiving: the form, tus, staging
    INVALID_SHA256 = "InvalidSha256"
    SHA256_UNKNOWN = "Sha256Unknown"
    SHA256_MISSING = "Sha256Missing"
    SHA256_MISMATCH = "Sha256Mismatch"
    TRANSFER_CANCELLED = "Cancelled"
    TRANSFER_FAILED = "Failed"
    TRANSFER_DONE = "Done"
    TRANSFER_PAUSED = "Paused"
    QUOTA_EXCEEDED = "NoRoom"
    WRITER_BUSY = "Locked"
    FOLDER_BEING_REMOVED = "FolderBeingRemoved"
    STAGING_FAILED = "StagingFailed"
    SENDER_LEFT = "SenderLeft"
    SENDER_SILENT = "SenderSilent"
    SENDER_TOO_SLOW = "SenderTooSlow"
    CONNECTION_ENDED = "ConnectionEnded"
    CHUNKS_ENDED = "ChunksEnded"
    CHUNKS_INVALID = "ChunksInvalid"
    BODY_GOES_ON = "BodyGoesOn"
    BODY_TOO_LONG = "BodyTooLong"
    TOGETHER_INVALID = "TogetherInvalid"
    FILE_TOO_LONG = "FileTooLong"
    FILE_ENDED_EARLY = "FileEndedEarly"
    CHECKED_BODY_TOO_LARGE = "CheckedBodyTooLarge"
    HEADER_MISSING = "HeaderMissing"
    HEADER_NOT_A_NUMBER = "HeaderNotANumber"
    HEADER_REPEATED = "HeaderRepeated"
    HEADER_NOT_SUPPORTED = "HeaderNotSupported"
    HEADER_CHANGED = "HeaderChanged"
    LENGTH_REQUIRED = "LengthRequired"
    CONCAT_NOT_SUPPORTED = "ConcatNotSupported"
    TRAILER_NOT_SUPPORTED = "TrailerNotSupported"
    CONTENT_ENCODING_NOT_SUPPORTED = "ContentEncodingNotSupported"
    OTHER_PROTOCOL = "OtherProtocol"
    MISSING_CONTENT_LENGTH = "MissingContentLength"
    WRONG_CONTENT_TYPE = "WrongContentType"
    WRONG_TUS_VERSION = "WrongTusVersion"
    MISSING_TUS_VERSION = "MissingTusVersion"
    METADATA_HEADER_TOO_LARGE = "MetadataHeaderTooLarge"
    METADATA_NAME_REPEATED = "MetadataNameRepeated"
    METADATA_NOT_BASE64 = "MetadataNotBase64"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    UNSUPPORTED_CHECKSUM = "UnsupportedChecksum"
    CHECKSUM_NOT_BASE64 = "ChecksumNotBase64"
    CHECKSUM_WRONG_LENGTH = "ChecksumWrongLength"
    FORM_NOT_MULTIPART = "FormNotMultipart"
    FORM_FIELDS_TOO_LARGE = "FormFieldsTooLarge"
    FORM_UNREADABLE = "FormUnreadable"
    FORM_FILE_MISSING = "FormFileMissing"
    FORM_FILE_NOT_LAST = "FormFileNotLast"
    FORM_SIZE_MISSING = "FormSizeMissing"
    CSRF_FAILED = "CsrfFailed"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    OTHER_NODE = "OtherNode"
    WRONG_OFFSET = "WrongOffset"
    ALL_RECEIVED = "AllReceived"
    CHECKED_BODY_LIMIT = "CheckedBodyLimit"
    RECEIVE_SLOTS_BUSY = "Busy"
    CREATE_SLOTS_BUSY = "CreatingBusy"
    USER_CREATING = "TooManyCreations"
    USER_RECEIVING = "TooManyConnections"
    USER_OPEN_TRANSFERS = "TooManyTransfers"
    USER_RESERVED = "UserStagingFull"
    GAVE_WAY = "GaveWay"
    INVALID_FORM = "InvalidForm"
    FILE_NOT_SELECTED = "FileNotSelected"
    KEY_MISSING = "KeyMissing"

    # --- Sweeps
    NO_SUCH_SWEEP = "NoSuchSweep"
    SWEEP_WITHOUT_VERDICT = "SweepWithoutVerdict"
    SWEEP_VERDICT_REFUSED = "SweepVerdictRefused"
    SWEEP_CHANGED = "SweepChanged"
    SWEEP_OTHER_PERSON = "SweepNeedsOtherPerson"
    SWEEP_NOT_NOW = "SweepNotPossibleNow"
    SWEEP_EXPIRED = "SweepExpired"
    SWEEP_UPLOADS_LIMIT = "SweepUploadsLimit"
    SWEEP_BYTES_LIMIT = "SweepBytesLimit"
    SWEEP_RULE_UNAPPROVED = "SweepRuleUnapproved"
    SWEEP_RULE_EDITED = "SweepRuleEdited"
    SWEEP_STORE_DISABLED = "SweepStoreDisabled"
    SWEEP_RULE_OTHER = "SweepRuleOther"
    SWEEP_UNCONFIRMED = "SweepUnconfirmed"
    SWEEP_ENDED = "SweepEnded"
    SPARED_VERDICT = "SparedVerdict"
    SPARED_RULE = "SparedRule"
    SPARED_ALIVE = "SparedAlive"
    SPARED_OWNED = "SparedOwned"
    SPARED_ARRIVED = "SparedPartArrived"
    SPARED_CHANGED = "SparedChanged"
    SPARED_STARTED = "SparedStartedAgain"
    SPARED_INCOMPLETE = "SparedIncomplete"
    SPARED_UNLISTED = "SparedUnlisted"
    SPARED_OBJECT = "SparedObjectMissing"
    SPARED_UNREADABLE = "SparedUnreadable"
    SPARED_UNCHECKED = "SparedUnchecked"
    SPARED_UNJUDGED = "SparedUnjudged"
    SPARED_GONE = "SparedGone"
    SPARED_NOT_ALLOWED = "SparedNotAllowed"

    # --- Abort, complete and operations
    OWNED_BY_TRANSFER = "OwnedByTransfer"
    ALREADY_ORDERED = "AlreadyOrdered"
    OPERATION_NOT_NOW = "OperationNotPossibleNow"
    SPARED_RECENT = "SparedRecentPart"
    SPARED_UNKNOWN = "SparedActivityUnknown"
    PREFLIGHT_FAILED = "PreflightFailed"
    NO_PARTS = "NoParts"
    PARTS_TOO_SMALL = "PartsTooSmall"
    PARTS_UNEQUAL = "PartsUnequal"
    PART_LIMIT_EXCEEDED = "PartLimitExceeded"
    PART_NUMBER_TOO_HIGH = "PartNumberTooHigh"
    OBJECT_TOO_LARGE = "ObjectTooLarge"
    PARTS_MISSING = "PartsMissing"
    PART_ARRIVED_RECENTLY = "PartArrivedRecently"
    PART_TIMES_UNKNOWN = "PartTimesUnknown"
    PART_SIZES_UNKNOWN = "PartSizesUnknown"
    PARTS_WITHOUT_ETAG = "PartsWithoutEtag"
    OBJECT_WOULD_BE_REPLACED = "ObjectWouldBeReplaced"
    PART_COPIES = "PartCopies"
    PART_COPIES_UNCLEAR = "PartCopiesUnclear"
    GAP_NOT_ALLOWED = "GapNotAllowed"
    CONFIRMATION_MISSING = "ConfirmationMissing"
    CONFIRMATION_INVALID = "ConfirmationInvalid"
    REPLACE_ETAG_MISSING = "ReplaceEtagMissing"
    CHANGED_SINCE_CONFIRMED = "ChangedSinceConfirmed"
    PARTS_ARRIVED = "PartsArrived"
    PARTS_REPLACED = "PartsReplaced"
    PARTS_NOT_COMPARED = "PartsNotCompared"
    PARTS_LISTED_AS_SENT = "PartsListedAsSent"
    PARTS_VANISHED = "PartsVanished"
    PARTS_NOT_AS_SEEN = "PartsNotAsSeen"
    OBJECT_WOULD_BE_LOST = "ObjectWouldBeLost"
    OBJECT_NOT_TO_REPLACE = "ObjectNotToReplace"
    OBJECT_REPLACED_MEANWHILE = "ObjectReplacedMeanwhile"
    OBJECT_NOT_COMPARABLE = "ObjectNotComparable"
    STILL_LISTED = "StillListed"
    UPLOAD_NOT_LISTED = "UploadNotListed"
    ABORT_NOT_VERIFIED = "AbortNotVerified"
    BUCKET_GONE = "BucketGone"
    OBJECT_APPEARED = "ObjectAppeared"
    PARTS_SENT_AGAIN = "PartsSentAgain"
    OBJECT_MISSING = "ObjectMissing"
    OBJECT_DIFFERS = "ObjectDiffers"
    OBJECT_ETAG_DIFFERS = "ObjectEtagDiffers"
    OBJECT_WITHOUT_CRC64 = "ObjectWithoutCrc64"
    COMPLETED_OBJECT_MISSING = "CompletedObjectMissing"
    COMPLETED_NOT_VERIFIED = "CompletedNotVerified"
    COMPLETION_UNKNOWN = "CompletionUnknown"
    CRC64_MISMATCH = "Crc64Mismatch"

    # --- Alerts
    NO_SUCH_ALERT_RULE = "NoSuchAlertRule"
    ALERT_NAME_TAKEN = "AlertNameTaken"
    TOO_MANY_ALERT_RULES = "TooManyAlertRules"
    ALERT_WITHOUT_CHANNEL = "AlertWithoutChannel"
    ALERT_RULE_DISABLED = "AlertRuleDisabled"
    ALERT_STORE_DISABLED = "AlertStoreDisabled"
    ALERT_NOTHING_SCANNED = "AlertNothingScanned"
    ALERT_BUCKETS_NOT_LISTED = "AlertBucketsNotListed"
    ALERT_BYTES_NOT_KNOWN = "AlertBytesNotKnown"
    ALERT_WITHOUT_PRICE = "AlertWithoutPrice"
    ALERT_IN_OTHER_CURRENCIES = "AlertInOtherCurrencies"
    ALERT_NEEDS_TWO_DAYS = "AlertNeedsTwoDays"
    ALERT_SECRET_UNREADABLE = "AlertSecretUnreadable"  # noqa: S105
    WEBHOOK_UNREACHABLE = "WebhookUnreachable"
    WEBHOOK_REFUSED = "WebhookRefused"
    MAIL_NOT_CONFIGURED = "MailNotConfigured"
    MAIL_NOT_SENT = "MailNotSent"

    # --- Upkeep: cleanup and reconciliation
    EXPIRED = "Expired"
    STAGED_PART_LOST = "StagedPartLost"
    SENT_PART_LOST = "SentPartLost"
    UPLOAD_NOT_CHECKED = "UploadNotChecked"
    UPLOAD_GONE = "UploadGone"
    UPLOAD_LEFT_OPEN = "UploadLeftOpen"
    UPLOAD_MAY_BE_ORPHAN = "UploadMayBeOrphan"
    CREATED_UPLOAD_UNKNOWN = "CreatedUploadUnknown"
    PART_DIFFERS = "PartDiffers"
    STAGED_PART_MISSING = "StagedPartMissing"
    QUOTA_NOT_RELEASED = "QuotaNotReleased"


@dataclass(frozen=True, slots=True, init=False)
class Problem:
    """A code with its parameters: `Problem(Code.KEY_TOO_LONG, size=1030, limit=1024)`."""

    code: str
    params: Mapping[str, Param] = field(default_factory=dict)

    def __init__(self, code: str, /, **params: Param) -> None:
        object.__setattr__(self, "code", str(code))
        object.__setattr__(self, "params", params)

    def __str__(self) -> str:
        """For logs: `KeyTooLong size=1030 limit=1024`."""
        return without_surrogates(" ".join([self.code, *(f"{name}={value}" for name, value in self.params.items())]))

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "params": dict(self.params)}

    @classmethod
    def from_json(cls, value: Any) -> Problem:
        """Read what `as_json` returned. Anything else, such as what a later version stored, becomes a code as it is."""
        if not isinstance(value, Mapping) or "code" not in value:
            return cls(str(value))
        return cls(value["code"], **mapping_or_empty(value.get("params")))


def problems_from_json(values: Any) -> tuple[Problem, ...]:
    """Read a list of problems from a JSON column."""
    return tuple(map(Problem.from_json, values if isinstance(values, list | tuple) else [values]))


def without_surrogates(text: str) -> str:
    """Text that can be encoded. Names of files that are not UTF-8 have surrogates in place of their bytes."""
    return _SURROGATES.sub("\ufffd", text)


def mapping_or_empty(value: Any) -> Mapping[str, Any]:
    """An object of a JSON column, or an empty one if the column holds something else."""
    return value if isinstance(value, Mapping) else {}


class ProblemError(Exception):
    """An exception that carries a problem instead of a sentence."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class RecordedError:
    """An error as a row keeps it.

    `code` is the store's, or ours where the store gave none. `reason` says which text explains it; empty in rows from
    before codes were stored, whose `store_message` is then the whole text. `details` add to the explanation.
    `store_message` is the store's own message as it sent it; nothing parses it.
    """

    code: str
    reason: str
    params: Mapping[str, Param] = field(default_factory=dict)
    details: tuple[Problem, ...] = ()
    store_message: str = ""
    request_id: str = ""

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> RecordedError | None:
        """From the values of a row's error columns, by name; None if they hold no error."""
        if not columns.get("error_code"):
            return None
        params = dict(mapping_or_empty(columns.get("error_params")))
        details = params.pop("details", ())
        return cls(
            code=columns["error_code"],
            reason=columns.get("error_reason", ""),
            params=params,
            details=problems_from_json(details),
            store_message=columns.get("error_message", ""),
            request_id=columns.get("error_request_id", ""),
        )
