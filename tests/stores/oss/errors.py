"""The errors of OSS, with its codes and messages.

Codes, messages and statuses are from the OSS documentation ("Error responses" and the pages of HTTP status codes 400 to
412) and from the vendor's SDK tests, which run against the service. The EC numbers (<EC> and x-oss-ec) are from the
vendor's tests, its troubleshooting pages or public reports. `UNKNOWN_EC` stands for an unknown one.
"""

from __future__ import annotations

from collections.abc import Mapping

UNKNOWN_EC = "0000-00000000"
NO_DATE = "OSS authentication requires a valid Date."


class Refusal(Exception):
    """An error response. `fields` are elements that only some errors have, such as BucketName."""

    def __init__(
        self, status: int, code: str, message: str, ec: str = UNKNOWN_EC, fields: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.ec = ec
        self.fields = dict(fields or {})


# --- Authentication and permissions -----------------------------------------------------------------------------------


def anonymous() -> Refusal:
    return Refusal(403, "AccessDenied", "Anonymous access is forbidden for this operation.")


def bad_authorization(ec: str = "0002-00000202") -> Refusal:
    return Refusal(400, "InvalidArgument", "Authorization header is invalid.", ec)


def two_signatures() -> Refusal:
    message = "Signatures in the Authorization header and in the URL are mutually exclusive."
    return Refusal(400, "InvalidArgument", message, "0002-00000039")


def incomplete_url(ec: str) -> Refusal:
    """A URL with a V1 signature that lacks a parameter ("Add signatures to a URL", "Error codes")."""
    message = "Query-string authentication requires the Signature, Expires and OSSAccessKeyId parameters."
    return Refusal(403, "AccessDenied", message, ec)


def bad_url(ec: str) -> Refusal:
    """A URL with a V4 signature that lacks a parameter or has an invalid one."""
    return Refusal(400, "InvalidArgument", "The signature parameters of the URL are invalid.", ec)


def expired(expires: str, here: str, ec: str) -> Refusal:
    """A signed URL that was used too late."""
    return Refusal(403, "AccessDenied", "Request has expired.", ec, {"Expires": expires, "ServerTime": here})


def too_early(ec: str) -> Refusal:
    """A signed URL that was used too early."""
    return Refusal(403, "AccessDenied", "Request is not valid yet.", ec)


def bad_payload_hash(given: str) -> Refusal:
    message = "The x-oss-content-sha256 header must be UNSIGNED-PAYLOAD."
    return bad_argument("x-oss-content-sha256", given, message)


def bad_region(given: str) -> Refusal:
    message = "Invalid signing region in Authorization header."
    return Refusal(400, "InvalidArgument", message, "0002-00000226", {"Region": given})


def no_date() -> Refusal:
    return Refusal(403, "AccessDenied", NO_DATE, "0002-00000503")


def bad_date() -> Refusal:
    return Refusal(403, "AccessDenied", NO_DATE, "0002-00000502")


def skewed(requested: str, here: str) -> Refusal:
    message = "The difference between the request time and the current time is too large."
    fields = {"MaxAllowedSkewMilliseconds": "900000", "RequestTime": requested, "ServerTime": here}
    return Refusal(403, "RequestTimeTooSkewed", message, "0002-00000504", fields)


def unknown_access_key(access_key: str, ec: str = "0002-00000902") -> Refusal:
    message = "The OSS Access Key Id you provided does not exist in our records."
    return Refusal(403, "InvalidAccessKeyId", message, ec, {"OSSAccessKeyId": access_key})


def bad_token() -> Refusal:
    return Refusal(403, "InvalidSecurityToken", "The security token you provided is invalid.", "0002-00000006")


def token_of_another() -> Refusal:
    message = "The OSS access key id and security token you provided does not match."
    return Refusal(403, "AccessKeyIdAndSecurityTokenNotMatch", message, "0002-00000004")


def token_expired() -> Refusal:
    return Refusal(403, "SecurityTokenExpired", "The security token you provided has expired.", "0002-00000007")


def bad_signature(access_key: str, provided: str, string_to_sign: str, ec: str) -> Refusal:
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method."
    )
    fields = {
        "OSSAccessKeyId": access_key,
        "SignatureProvided": provided,
        "StringToSign": string_to_sign,
        "StringToSignBytes": string_to_sign.encode("utf-8", "surrogateescape").hex(" ").upper(),
    }
    return Refusal(403, "SignatureDoesNotMatch", message, ec, fields)


def forbidden(action: str) -> Refusal:
    """The policy of a RAM user does not allow the action."""
    if action == "oss:ListBuckets":
        return Refusal(403, "AccessDenied", "You are forbidden to list buckets.")
    of_objects = action in ("oss:PutObject", "oss:GetObject", "oss:DeleteObject")
    return Refusal(403, "AccessDenied", "You have no right to access this object." if of_objects else "AccessDenied")


# --- Buckets, keys and uploads ----------------------------------------------------------------------------------------


def path_style() -> Refusal:
    message = "The bucket you are attempting to access must be addressed using OSS third level domain."
    return Refusal(403, "SecondLevelDomainForbidden", message)


def bad_host() -> Refusal:
    message = "Your host is invalid. Please use Open Storage Service standard host."
    return Refusal(403, "NonStandardHostForbidden", message)


def other_endpoint(endpoint: str) -> Refusal:
    message = (
        "The bucket you are attempting to access must be addressed using the specified endpoint. "
        "Please send all future requests to this endpoint."
    )
    return Refusal(403, "AccessDenied", message, fields={"Endpoint": endpoint})


def no_bucket(bucket: str) -> Refusal:
    message = "The specified bucket does not exist."
    return Refusal(404, "NoSuchBucket", message, "0015-00000101", {"BucketName": bucket})


def bad_bucket_name(bucket: str) -> Refusal:
    return Refusal(400, "InvalidBucketName", "The specified bucket is not valid.", fields={"BucketName": bucket})


def bucket_exists(bucket: str) -> Refusal:
    message = (
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Please select a different name and try again."
    )
    return Refusal(409, "BucketAlreadyExists", message, "0015-00000104", {"BucketName": bucket})


def bad_key(message: str, key: str = "") -> Refusal:
    return Refusal(400, "InvalidObjectName", message, fields={"ObjectName": key})


def no_key(key: str) -> Refusal:
    return Refusal(404, "NoSuchKey", "The specified key does not exist.", "0026-00000001", {"Key": key})


def no_upload(upload_id: str, ec: str) -> Refusal:
    message = (
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
        "completed."
    )
    return Refusal(404, "NoSuchUpload", message, ec, {"UploadId": upload_id})


# --- Arguments and bodies ---------------------------------------------------------------------------------------------


def not_implemented(header: str) -> Refusal:
    message = "A header you provided implies functionality that is not implemented."
    return Refusal(400, "NotImplemented", message, fields={"Header": header})


def bad_method(method: str) -> Refusal:
    message = "The specified method is not allowed against this resource."
    return Refusal(405, "MethodNotAllowed", message, "0003-00000016", {"Method": method})


def bad_argument(name: str, value: str, message: str, ec: str = UNKNOWN_EC) -> Refusal:
    return Refusal(400, "InvalidArgument", message, ec, {"ArgumentName": name, "ArgumentValue": value})


def no_length() -> Refusal:
    return Refusal(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")


def incomplete_body() -> Refusal:
    message = "You did not provide the number of bytes specified by the Content-Length HTTP header."
    return Refusal(400, "IncompleteBody", message)


def timed_out() -> Refusal:
    message = (
        "Your socket connection to the server was not read from or written to within the timeout period. "
        "Idle connections will be closed."
    )
    return Refusal(400, "RequestTimeout", message)


def too_large() -> Refusal:
    return Refusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")


def too_small(number: int, size: int) -> Refusal:
    message = "Your proposed upload smaller than the minimum allowed size."
    fields = {"MinSizeAllowed": "102400", "PartNumber": str(number), "ProposedSize": str(size)}
    return Refusal(400, "EntityTooSmall", message, fields=fields)


def bad_digest(given: str) -> Refusal:
    return Refusal(400, "InvalidDigest", "The Content-MD5 you specified was invalid.", fields={"Content-MD5": given})


def bad_crc64() -> Refusal:
    return Refusal(400, "InvalidCRC64", "The x-oss-hash-crc64ecma you specified does not match what we calculated.")


def bad_xml() -> Refusal:
    message = "The XML you provided was not well-formed or did not validate against our published schema."
    return Refusal(400, "MalformedXML", message, "0042-00000205")


def bad_part(number: int, etag: str, upload_id: str) -> Refusal:
    message = (
        "One or more of the specified parts could not be found or the specified entity tag might not have matched the "
        "part's entity tag."
    )
    return Refusal(400, "InvalidPart", message, fields={"ETag": etag, "PartNumber": str(number), "UploadId": upload_id})


def bad_part_order(message: str, upload_id: str) -> Refusal:
    return Refusal(400, "InvalidPartOrder", message, fields={"UploadId": upload_id})


def object_exists(key: str) -> Refusal:
    message = "The object you specified already exists and can not be overwritten."
    return Refusal(409, "FileAlreadyExists", message, fields={"Key": key})


def no_lifecycle(bucket: str) -> Refusal:
    message = "No Row found in Lifecycle Table."
    return Refusal(404, "NoSuchLifecycle", message, fields={"BucketName": bucket})
