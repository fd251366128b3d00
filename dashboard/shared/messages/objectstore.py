"""Texts of codes about what the object store client refuses or cannot read."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from dashboard.shared.messages.types import Message
from uploads.problems import Code

_NAMES: Mapping[str, Message] = {
    Code.KEY_EMPTY: _("The key is empty. A key has 1 to %(limit)s bytes of UTF-8."),
    Code.KEY_HAS_NUL: _(
        "The key contains a NUL character, which stores cannot keep. Every other character is allowed."
    ),
    Code.KEY_NOT_UNICODE: _("The key is not valid Unicode: it contains a lone surrogate."),
    Code.KEY_TOO_LONG: _("The key has %(size)s bytes of UTF-8; at most %(limit)s are allowed."),
    Code.KEY_NOT_LISTABLE: _(
        "The key contains the character %(character)s, on which this store's listings fail: an upload with this key "
        "could not be found again. Every character except control characters is allowed."
    ),
    Code.KEY_STARTS_WITH_SLASH: _(
        "The key starts with %(character)s, which this store does not allow. The character is allowed inside a key."
    ),
    Code.KEY_ENDS_WITH_SLASH: _(
        "The key ends with “/”. This store keeps such a key as a folder, without the bytes of its object."
    ),
    Code.KEY_SEGMENT_TOO_LONG: _(
        "A segment of the key has %(size)s bytes of UTF-8. This store keeps keys as file paths, with at most %(limit)s "
        "bytes between slashes."
    ),
    Code.KEY_IS_NOT_A_PATH: _(
        "This store keeps keys as file paths. The key has an empty, “.” or “..” segment, and would reach the object "
        "of another key. Choose a key without “//”, a leading slash and dot segments."
    ),
    Code.BUCKET_NAME_INVALID: _(
        "“%(bucket)s” is not a bucket name. A bucket name has 2 to 255 letters, digits, periods, hyphens and "
        "underscores, and starts with a letter or digit."
    ),
    Code.BUCKET_NAME_NOT_DNS: _(
        "The bucket “%(bucket)s” cannot be reached with virtual-hosted addressing, which requires 3 to 63 lower-case "
        "letters, digits, periods and hyphens. Use path addressing."
    ),
    Code.UPLOAD_ID_EMPTY: _("The upload id is empty."),
    Code.METADATA_NAME_INVALID: _(
        "“%(name)s” is not a metadata name: only ASCII letters, digits and hyphens are allowed."
    ),
}

_VALUES: Mapping[str, Message] = {
    Code.PARAMETER_NOT_TEXT: _("The parameter %(parameter)s contains a NUL character or is not valid Unicode."),
    Code.PARAMETER_OUT_OF_RANGE: _(
        "The parameter %(parameter)s is %(value)s; it must be from %(lowest)s to %(highest)s."
    ),
    Code.ACCESS_KEY_NOT_ASCII: _("The access key may contain only printable ASCII, without space at either end."),
    Code.SESSION_TOKEN_NOT_ASCII: _("The session token may contain only printable ASCII, without space at either end."),
    Code.REGION_NOT_ASCII: _("The region may contain only printable ASCII, without space at either end."),
    Code.HEADER_NOT_ASCII: _(
        "The header %(header)s may contain only printable ASCII, without space at either end of its value."
    ),
    Code.METADATA_VALUE_NOT_ASCII: _(
        "The metadata value of %(name)s may contain only printable ASCII, without space at either end."
    ),
    Code.ENDPOINT_URL_MALFORMED: _("“%(url)s” is not an endpoint URL: %(detail)s."),
    Code.ENDPOINT_URL_INVALID: _("“%(url)s” is not an endpoint URL like https://s3.example.org."),
    Code.UNKNOWN_SIGNATURE: _("The signature “%(signature)s” is not supported. Supported signatures: %(known)s."),
    Code.UNKNOWN_PROVIDER: _("The provider “%(provider)s” is not known. Known providers: %(known)s."),
    Code.OVERWRITE_NOT_PREVENTABLE: _("This store has no way to refuse replacing an object."),
    Code.COMPLETE_WITHOUT_PARTS: _(
        "An upload can be completed only with at least one part and the ETag of every part."
    ),
    Code.PARTS_NOT_ASCENDING: _("An upload can be completed only with ascending part numbers, each of them once."),
    Code.LIFECYCLE_NOT_WRITABLE: _(
        "By its profile, this store has no lifecycle rules that Partway can write, so nothing was sent: a store that "
        "ignores them could delete the bucket instead."
    ),
    Code.FILE_TOO_SHORT: _(
        "The file %(file)s is too short: of %(size)s bytes from offset %(offset)s, %(missing)s are missing."
    ),
    Code.FILE_UNREADABLE: _("The file %(file)s cannot be read: %(detail)s."),
}

_CONNECTIONS: Mapping[str, Message] = {
    Code.REQUEST_NOT_WRITABLE: _("The request cannot be written: %(detail)s"),
    Code.CA_BUNDLE_MISSING: _("The CA bundle %(path)s does not exist."),
    Code.CA_BUNDLE_OUTSIDE: _(
        "A CA bundle is a PEM file in %(folder)s on the server. “%(path)s” is not, or leads elsewhere by a link. The "
        "setting STORE_CA_DIR names the folder."
    ),
    Code.ADDRESS_REFUSED: _(
        "Partway does not connect to %(address)s: this is a link-local, metadata, unspecified, multicast or reserved "
        "address. The setting STORE_ALLOWED_ADDRESSES can allow it."
    ),
    Code.ADDRESS_OF_THIS_MACHINE: _(
        "Partway does not connect to %(address)s: this is an address of its own machine. For a store on this machine, "
        "add its address and port to the setting STORE_ALLOWED_ADDRESSES."
    ),
    Code.ADDRESS_OF_SERVICE: _(
        "Partway does not connect to %(address)s: a service of Partway itself is there, such as its database. The "
        "setting STORE_ALLOWED_ADDRESSES can allow exactly this address and port."
    ),
    Code.ADDRESS_NOT_IN_NETWORKS: _(
        "Partway does not connect to %(address)s: it is in none of the networks of the setting STORE_NETWORKS."
    ),
    Code.NOT_AN_S3_ENDPOINT: _("No S3 or OSS endpoint responded at this address and port."),
    Code.SECRET_UNREADABLE: _("The stored secrets of the store %(store)s cannot be decrypted with CREDENTIALS_KEYS."),
    Code.CERTIFICATE_NOT_TRUSTED: _("The certificate of the store is not trusted: %(detail)s."),
    Code.TLS_FAILED: _("TLS with the store failed: %(detail)s"),
    Code.CONNECTION_FAILED: _("No connection to the store could be opened: %(detail)s"),
    Code.CONNECTION_STALLED: _("The connection stalled: no data was sent or received until the timeout."),
    Code.CONNECTION_LOST: _("The connection was lost: %(detail)s"),
    Code.PAGE_TIME_USED_UP: _("The store took too long: Partway waits at most %(limit_seconds)s here."),
    Code.STORE_BUSY: ngettext_lazy(
        "The store has not answered %(count)s request that is still waiting. Try again.",
        "The store has not answered %(count)s requests that are still waiting. Try again.",
        "count",
    ),
    Code.STORES_BUSY: ngettext_lazy(
        "Stores have not answered %(count)s request that is still waiting. Try again.",
        "Stores have not answered %(count)s requests that are still waiting. Try again.",
        "count",
    ),
    Code.STORE_NOT_ANSWERING: _("The store has not answered since %(since_at)s."),
    Code.GATEWAY_ERROR: _(
        "A gateway in front of the store responded with status %(status)s. Whether the store received the request is "
        "not known."
    ),
    Code.ERROR_WITHOUT_MESSAGE: _("The store responded with status %(status)s and without a message."),
    Code.BUCKET_REGION: _("The bucket's region is %(region)s."),
    Code.REDIRECT_NOT_FOLLOWED: _("The store redirects to %(location)s. Partway does not follow redirects."),
}

_RESPONSES: Mapping[str, Message] = {
    Code.CRC64_DIFFERS: _(
        "The store received other bytes than were sent: it reports the CRC-64 %(reported)s, expected is %(expected)s."
    ),
    Code.ETAG_DIFFERS: _(
        "The store received other bytes than were sent: it reports the ETag %(reported)s, expected is %(expected)s."
    ),
    Code.RESPONSE_TOO_LARGE: _("The store's response is larger than %(limit_bytes)s."),
    Code.RESPONSE_NOT_HTTP: _("The store's response is not valid HTTP: %(detail)s"),
    Code.RESPONSE_NOT_OF_THIS_API: _(
        "The response with status %(status)s is not an error of this API. The endpoint may not be a store."
    ),
    Code.RESPONSE_EMPTY: _("The store's response is empty; XML was expected."),
    Code.RESPONSE_HAS_DTD: _("The store's response has a DTD, as HTML has. This API does not use DTDs."),
    Code.RESPONSE_NOT_XML: _("The store's response is not XML: %(detail)s."),
    Code.RESPONSE_TOO_COMPLEX: _("The store's response is nested too deeply or has too many elements."),
    Code.RESPONSE_ELEMENT_UNEXPECTED: _(
        "The store's response contains the element %(found)s where %(expected)s was expected."
    ),
    Code.RESPONSE_NUMBER_INVALID: _(
        "The element %(element)s in the store's response contains “%(text)s” instead of a number."
    ),
    Code.RESPONSE_MARKER_NOT_UTF8: _("The store's marker for the next page is not valid UTF-8."),
    Code.RESPONSE_WITHOUT_UPLOAD_ID: _("The store's response contains no upload id."),
    Code.RESPONSE_WITHOUT_ETAG: _(
        "The store's response contains no ETag, so it does not show that the store has the bytes."
    ),
    Code.RESPONSE_WITH_BODY: _(
        "The store's response contains a body of %(size_bytes)s, but responses to this request have none. It may be a "
        "page of a proxy."
    ),
    Code.RESPONSE_FOR_OTHER_KEY: _(
        "The store's response is about another key: “%(key)s”, with the upload id %(upload_id)s."
    ),
    Code.RESPONSE_FOR_OTHER_UPLOAD: _(
        "The store's response is about another upload: it names “%(named)s” instead of “%(expected)s”."
    ),
    Code.RESPONSE_NOT_OF_AN_OBJECT: _(
        "The store's response to HEAD contains neither an ETag nor a date. It may be a page of a proxy."
    ),
    Code.RESPONSE_WITHOUT_SIZE: _("The store's response to HEAD contains no size."),
    Code.UPLOADS_UNREADABLE: _("The store lists uploads whose key or upload id cannot be read. They are not counted."),
    Code.LISTING_WITHOUT_END: _(
        "The store reports that the listing continues, but names no new marker for the next page: %(marker)s."
    ),
    Code.BUCKETS_NOT_SHOWN: ngettext_lazy(
        "The store lists more than %(count)s bucket; the rest is not shown. You can enter the name of any bucket.",
        "The store lists more than %(count)s buckets; the rest is not shown. You can enter the name of any bucket.",
        "count",
    ),
    Code.UPLOADS_WITHOUT_END: ngettext_lazy(
        "The listing of uploads does not end: Partway stopped after %(count)s page.",
        "The listing of uploads does not end: Partway stopped after %(count)s pages.",
        "count",
    ),
    Code.PARTS_WITHOUT_END: ngettext_lazy(
        "The listing of this upload's parts does not end: Partway stopped after %(count)s part.",
        "The listing of this upload's parts does not end: Partway stopped after %(count)s parts.",
        "count",
    ),
    Code.UPLOADS_NOT_READABLE: ngettext_lazy(
        "%(count)s upload on this page has a name that cannot be read exactly.",
        "%(count)s uploads on this page have names that cannot be read exactly.",
        "count",
    ),
    Code.LISTING_END_NOT_STATED: _("The store does not say whether more uploads follow after this page."),
    Code.WHOLE_KEY_NOT_LISTED: _(
        "The uploads whose key is exactly the prefix could not be listed (%(code)s, request id %(request_id)s)."
    ),
    Code.LISTING_ENDS_AT_GRANT: _(
        "The store lists in no order, and its next page starts with a key that you may not see: uploads may be missing."
    ),
    Code.WHOLE_KEY_HAS_MORE: _(
        "More uploads have exactly this key than fit on a page. Use the prefix as a whole key to see all of them."
    ),
}

MESSAGES: Mapping[str, Message] = {**_NAMES, **_VALUES, **_CONNECTIONS, **_RESPONSES}
