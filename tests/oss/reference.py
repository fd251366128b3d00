"""The examples of the vendor's API reference as data: initial state, request and response.

Source: "Object Storage Service, API Reference" as published by the vendor (its repository AlibabaCloudDocs/oss, as of
July 2021), copied by hand; `page` is the title there. `****` in the pages stands for any text, and so do values that
only the service can create: ids, digests of bodies that are not shown, owners. Differences from the pages, which a
server cannot reproduce exactly:

- Authorization is a V4 signature with the example's date. The pages show V1.
- Namespaces are omitted: the pages have `xmlns` in some responses, but the service sends none (the vendor's Python
  client cannot read them).
- InitiateMultipartUpload and ListParts name the bucket `multipart_upload` in the response and `oss-example` in the
  request: here it is always the latter. A space before the path in CompleteMultipartUpload's Location is omitted.
- UploadPart's ETag has quotes, as on the English page, unlike on the Chinese one.
- Zeros are sent where a page has a placeholder for a body. The length of XML depends on its white space, so the
  comparison is only whether Content-Length equals the length.
- Dates with a wrong day of the week, or with one digit for the day, are corrected. The second example of PutObject
  responds in 2015 to a request of 2012, that of GetBucketLocation in 2013: here the date is that of the request.
- The storage class of ListObjectsV2 is omitted: only that page shows it in capitals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.oss.wire import Request
from tests.stores.oss.state import Bucket, Object, Part, Piece, State, Upload

Node = tuple[str, "str | list[Node]"]
"""The name of an element, and its text or its elements."""

EXAMPLE = "oss-example"
DOMAIN = "aliyuncs.com"


def moment(text: str) -> datetime:
    """Parse a time like 2012-02-23T04:18:23.000Z."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.000Z").replace(tzinfo=UTC)


@dataclass(frozen=True)
class Example:
    """`headers` and `document` are the documented response; `date` is the server's."""

    page: str
    what: str
    date: str
    request: Request
    status: int
    headers: Mapping[str, str]
    document: Node | None = None
    before: Callable[[State], object] = lambda state: None
    denied: tuple[str, ...] = ()
    without: Mapping[str, str] = field(default_factory=dict)
    """Documented headers that the server does not send, with the reason."""

    def __str__(self) -> str:
        return f"{self.page}: {self.what}"


def host(bucket: str, region: str = "cn-hangzhou") -> str:
    return f"{bucket}.oss-{region}.{DOMAIN}"


def add_bucket(
    state: State,
    name: str = EXAMPLE,
    region: str = "cn-hangzhou",
    *,
    created: str = "2012-02-20T00:00:00.000Z",
    storage_class: str = "Standard",
    comment: str = "",
) -> Bucket:
    bucket = Bucket(name, region, moment(created), storage_class, comment)
    state.buckets[name] = bucket
    return bucket


def add_upload(bucket: Bucket, key: str, upload_id: str, initiated: str) -> Upload:
    upload = Upload(key, upload_id, moment(initiated))
    bucket.uploads[key, upload_id] = upload
    return upload


def add_part(state: State, upload: Upload, number: int, etag: str, size: int, modified: str) -> None:
    """A part of zeros with the documented ETag."""
    path = state.new_path()
    with path.open("wb") as file:
        file.truncate(size)
    upload.parts[number] = Part(number, etag, size, 0, moment(modified), path)


def add_object(state: State, bucket: Bucket, key: str, etag: str, size: int, modified: str, **facts: str) -> None:
    path = state.new_path()
    with path.open("wb") as file:
        file.truncate(size)
    headers = {"content-type": facts.pop("content_type", "image/jpg")}
    pieces = (Piece(path, size),)
    bucket.objects[key] = Object(key, etag, size, 0, moment(modified), pieces, headers=headers, **facts)


COMMON = {"Server": "AliyunOSS", "Connection": "keep-alive", "x-oss-request-id": "****"}
XML_RESPONSE = {**COMMON, "Content-Type": "application/xml", "Content-Length": "****"}


# --- Multipart uploads ------------------------------------------------------------------------------------------------


def _one_upload(upload_id: str) -> Callable[[State], None]:
    def before(state: State) -> None:
        add_upload(add_bucket(state), "multipart.data", upload_id, "2012-02-22T08:00:00.000Z")

    return before


def _three_uploads(state: State) -> None:
    bucket = add_bucket(state)
    add_upload(bucket, "oss.avi", "0004B99B8E707874FC2D692FA5D77D3F", "2012-02-23T06:14:27.000Z")
    add_upload(bucket, "multipart.data", "0004B999EF5A239BB9138C6227D69F95", "2012-02-23T04:18:23.000Z")
    add_upload(bucket, "multipart.data", "0004B999EF518A1FE585B0C9360DC4C8", "2012-02-23T04:18:23.000Z")


def _three_parts(state: State) -> None:
    upload = add_upload(
        add_bucket(state), "multipart.data", "0004B999EF5A239BB9138C6227D69F95", "2012-02-23T04:18:23.000Z"
    )
    add_part(state, upload, 1, "3349DC700140D7F86A07848427800000", 6291456, "2012-02-23T07:01:34.000Z")
    add_part(state, upload, 2, "3349DC700140D7F86A07848427800000", 6291456, "2012-02-23T07:01:12.000Z")
    add_part(state, upload, 5, "7265F4D211B56873A381D321F5860000", 1024, "2012-02-23T07:02:03.000Z")


def _parts_to_complete(state: State) -> None:
    upload = add_upload(
        add_bucket(state), "multipart.data", "0004B9B2D2F7815C432C9057C0310000", "2012-02-24T10:00:00.000Z"
    )
    for number, etag in ((1, "3349DC700140D7F86A07848427800000"), (5, "8EFDA8BE206636A695359836FE0A0000")):
        add_part(state, upload, number, etag, 102_400, "2012-02-24T10:01:00.000Z")
    add_part(state, upload, 8, "8C315065167132444177411FDA140000", 7, "2012-02-24T10:02:00.000Z")


COMPLETE = b"""<CompleteMultipartUpload>
    <Part>
        <PartNumber>1</PartNumber>
        <ETag>"3349DC700140D7F86A07848427800000"</ETag>
    </Part>
    <Part>
        <PartNumber>5</PartNumber>
        <ETag>"8EFDA8BE206636A695359836FE0A0000"</ETag>
    </Part>
    <Part>
        <PartNumber>8</PartNumber>
        <ETag>"8C315065167132444177411FDA140000"</ETag>
    </Part>
</CompleteMultipartUpload>"""

MULTIPART = (
    Example(
        "InitiateMultipartUpload",
        "Examples",
        "Wed, 22 Feb 2012 08:32:21 GMT",
        Request("POST", "/multipart.data?uploads", host(EXAMPLE), {"x-oss-storage-class": "Archive"}),
        200,
        XML_RESPONSE,
        (
            "InitiateMultipartUploadResult",
            [
                ("Bucket", EXAMPLE),
                ("Key", "multipart.data"),
                ("UploadId", "****"),
            ],
        ),
        before=add_bucket,
    ),
    Example(
        "UploadPart",
        "Examples",
        "Wed, 22 Feb 2012 08:32:21 GMT",
        Request(
            "PUT", "/multipart.data?partNumber=1&uploadId=0004B9895DBBB6EC98E36", host(EXAMPLE), body=bytes(6291456)
        ),
        200,
        {**COMMON, "ETag": '"****"'},
        before=_one_upload("0004B9895DBBB6EC98E36"),
    ),
    Example(
        "CompleteMultipartUpload",
        "Examples, versioning not enabled",
        "Fri, 24 Feb 2012 10:19:18 GMT",
        Request(
            "POST",
            "/multipart.data?uploadId=0004B9B2D2F7815C432C9057C0310000&encoding-type=url",
            host(EXAMPLE),
            body=COMPLETE,
        ),
        200,
        XML_RESPONSE,
        (
            "CompleteMultipartUploadResult",
            [
                ("EncodingType", "url"),
                ("Location", "http://oss-example.oss-cn-hangzhou.aliyuncs.com/multipart.data"),
                ("Bucket", EXAMPLE),
                ("Key", "multipart.data"),
                ("ETag", '"****"'),
            ],
        ),
        before=_parts_to_complete,
    ),
    Example(
        "AbortMultipartUpload",
        "Examples",
        "Wed, 22 Feb 2012 08:32:21 GMT",
        Request("DELETE", "/multipart.data?&uploadId=0004B9895DBBB6EC98E", host(EXAMPLE)),
        204,
        COMMON,
        before=_one_upload("0004B9895DBBB6EC98E"),
    ),
    Example(
        "ListMultipartUploads",
        "Examples",
        "Thu, 23 Feb 2012 06:14:27 GMT",
        Request("GET", "/?uploads", host(EXAMPLE)),
        200,
        XML_RESPONSE,
        (
            "ListMultipartUploadsResult",
            [
                ("Bucket", EXAMPLE),
                ("KeyMarker", ""),
                ("UploadIdMarker", ""),
                ("NextKeyMarker", "oss.avi"),
                ("NextUploadIdMarker", "0004B99B8E707874FC2D692FA5D77D3F"),
                ("Delimiter", ""),
                ("Prefix", ""),
                ("MaxUploads", "1000"),
                ("IsTruncated", "false"),
                (
                    "Upload",
                    [
                        ("Key", "multipart.data"),
                        ("UploadId", "0004B999EF518A1FE585B0C9360DC4C8"),
                        ("Initiated", "2012-02-23T04:18:23.000Z"),
                    ],
                ),
                (
                    "Upload",
                    [
                        ("Key", "multipart.data"),
                        ("UploadId", "0004B999EF5A239BB9138C6227D6****"),
                        ("Initiated", "2012-02-23T04:18:23.000Z"),
                    ],
                ),
                (
                    "Upload",
                    [
                        ("Key", "oss.avi"),
                        ("UploadId", "0004B99B8E707874FC2D692FA5D7****"),
                        ("Initiated", "2012-02-23T06:14:27.000Z"),
                    ],
                ),
            ],
        ),
        before=_three_uploads,
    ),
    Example(
        "ListParts",
        "Examples",
        "Thu, 23 Feb 2012 07:13:28 GMT",
        Request("GET", "/multipart.data?uploadId=0004B999EF5A239BB9138C6227D69F95", host(EXAMPLE)),
        200,
        XML_RESPONSE,
        (
            "ListPartsResult",
            [
                ("Bucket", EXAMPLE),
                ("Key", "multipart.data"),
                ("UploadId", "0004B999EF5A239BB9138C6227D69F95"),
                ("NextPartNumberMarker", "5"),
                ("MaxParts", "1000"),
                ("IsTruncated", "false"),
                (
                    "Part",
                    [
                        ("PartNumber", "1"),
                        ("LastModified", "2012-02-23T07:01:34.000Z"),
                        ("ETag", '"3349DC700140D7F86A0784842780****"'),
                        ("Size", "6291456"),
                    ],
                ),
                (
                    "Part",
                    [
                        ("PartNumber", "2"),
                        ("LastModified", "2012-02-23T07:01:12.000Z"),
                        ("ETag", '"3349DC700140D7F86A0784842780****"'),
                        ("Size", "6291456"),
                    ],
                ),
                (
                    "Part",
                    [
                        ("PartNumber", "5"),
                        ("LastModified", "2012-02-23T07:02:03.000Z"),
                        ("ETag", '"7265F4D211B56873A381D321F586****"'),
                        ("Size", "1024"),
                    ],
                ),
            ],
        ),
        before=_three_parts,
    ),
)


# --- Objects ----------------------------------------------------------------------------------------------------------


def _oss_jpg(state: State) -> None:
    add_object(
        state,
        add_bucket(state),
        "oss.jpg",
        "FBA9DEDE5F27731C9771645A39860000",
        344606,
        "2012-02-24T06:07:48.000Z",
        storage_class="Archive",
    )


OBJECTS = (
    Example(
        "PutObject",
        "Simple upload",
        "Tue, 04 Dec 2018 15:56:38 GMT",
        Request(
            "PUT",
            "/test.txt",
            host("test", "cn-zhangjiakou"),
            {
                "User-Agent": "aliyun-sdk-python/2.6.0(Windows/7/AMD64;3.7.0)",
                "Accept": "*/*",
                "Connection": "keep-alive",
                "Content-Type": "text/plain",
                "Transfer-Encoding": "chunked",
            },
        ),
        200,
        {
            **COMMON,
            "Content-Length": "0",
            "ETag": '"D41D8CD98F00B204E9800998ECF8****"',
            "x-oss-hash-crc64ecma": "0",
            "Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg==",
            "x-oss-server-time": "****",
        },
        before=lambda state: add_bucket(state, "test", "cn-zhangjiakou"),
    ),
    Example(
        "PutObject",
        "With the storage class Archive",
        "Fri, 24 Feb 2012 06:03:28 GMT",
        Request(
            "PUT",
            "/oss.jpg",
            host(EXAMPLE),
            {
                "Cache-control": "no-cache",
                "Expires": "Fri, 28 Feb 2012 05:38:42 GMT",
                "Content-Encoding": "utf-8",
                "Content-Disposition": "attachment;filename=oss_download.jpg",
                "Content-Type": "image/jpg",
                "x-oss-storage-class": "Archive",
            },
            bytes(344606),
        ),
        200,
        {**COMMON, "Content-Length": "0", "ETag": '"****"'},
        before=add_bucket,
        without={
            "x-oss-bucket-version": "described nowhere, and in no newer example",
            "Content-Type": "of a response without a body; not in the first example",
        },
    ),
    Example(
        "HeadObject",
        "Versioning not enabled",
        "Fri, 07 Aug 2020 07:32:52 GMT",
        Request("HEAD", "/oss.jpg", host(EXAMPLE)),
        200,
        {
            **COMMON,
            "x-oss-object-type": "Normal",
            "x-oss-storage-class": "Archive",
            "Last-Modified": "Fri, 24 Feb 2012 06:07:48 GMT",
            "ETag": '"fba9dede5f27731c9771645a3986****"',
            "Content-Length": "344606",
            "Content-Type": "image/jpg",
        },
        before=_oss_jpg,
    ),
    Example(
        "GetObject",
        "Simple GET",
        "Fri, 24 Feb 2012 06:38:30 GMT",
        Request("GET", "/oss.jpg", host(EXAMPLE)),
        200,
        {
            **COMMON,
            "x-oss-object-type": "Normal",
            "Last-Modified": "Fri, 24 Feb 2012 06:07:48 GMT",
            "ETag": '"****"',
            "Content-Type": "image/jpg",
            "Content-Length": "344606",
        },
        before=_oss_jpg,
    ),
    Example(
        "GetObject",
        "With Range",
        "Tue, 28 Feb 2012 05:38:42 GMT",
        Request("GET", "/oss.jpg", host(EXAMPLE), {"Range": "bytes=100-900"}),
        206,
        {
            **COMMON,
            "x-oss-object-type": "Normal",
            "Last-Modified": "Fri, 24 Feb 2012 06:07:48 GMT",
            "ETag": '"****"',
            "Accept-Ranges": "bytes",
            "Content-Range": "bytes 100-900/344606",
            "Content-Type": "image/jpg",
            "Content-Length": "801",
        },
        before=_oss_jpg,
    ),
    Example(
        "DeleteObject",
        "Examples",
        "Wed, 02 Jan 2019 13:28:38 GMT",
        Request("DELETE", "/AK.txt", host("test", "cn-zhangjiakou"), {"Accept": "text/html"}),
        204,
        {**COMMON, "Content-Length": "0", "x-oss-server-time": "****"},
        before=lambda state: add_bucket(state, "test", "cn-zhangjiakou"),
    ),
)


# --- Buckets ----------------------------------------------------------------------------------------------------------


def _two_buckets(state: State) -> None:
    add_bucket(state, "atestleo23", created="2014-12-25T11:21:04.000Z", storage_class="IA")
    add_bucket(state, "app-base-oss", "cn-shanghai", created="2015-12-17T18:12:43.000Z")


def _many_buckets(state: State) -> None:
    for number in range(3):
        add_bucket(state, f"xz02tphky6fjfiuc{number}", created="2014-05-15T11:18:32.000Z")


def _objects_a_b(state: State) -> None:
    bucket = add_bucket(state)
    for key, second in (("a", 43), ("a/b", 47), ("b", 50)):
        modified = f"2020-05-18T05:45:{second}.000Z"
        add_object(state, bucket, key, "35A27C2B9EAEEB6F48FD7FB5861D0000", 25, modified)


def _place(region: str) -> list[Node]:
    return [
        ("ExtranetEndpoint", f"oss-{region}.aliyuncs.com"),
        ("IntranetEndpoint", f"oss-{region}-internal.aliyuncs.com"),
        ("Location", f"oss-{region}"),
    ]


BUCKETS = (
    Example(
        "GetService (ListBuckets)",
        "Example 1",
        "Thu, 15 May 2014 11:18:32 GMT",
        Request("GET", "/", "oss-cn-hangzhou.aliyuncs.com"),
        200,
        XML_RESPONSE,
        (
            "ListAllMyBucketsResult",
            [
                ("Owner", [("ID", "****"), ("DisplayName", "****")]),
                (
                    "Buckets",
                    [
                        (
                            "Bucket",
                            [
                                ("CreationDate", "2015-12-17T18:12:43.000Z"),
                                *_place("cn-shanghai"),
                                ("Name", "app-base-oss"),
                                ("Region", "cn-shanghai"),
                                ("StorageClass", "Standard"),
                            ],
                        ),
                        (
                            "Bucket",
                            [
                                ("CreationDate", "2014-12-25T11:21:04.000Z"),
                                *_place("cn-hangzhou"),
                                ("Name", "atestleo23"),
                                ("Region", "cn-hangzhou"),
                                ("StorageClass", "IA"),
                            ],
                        ),
                    ],
                ),
            ],
        ),
        before=_two_buckets,
    ),
    Example(
        "GetService (ListBuckets)",
        "Example 2",
        "Thu, 15 May 2014 11:18:32 GMT",
        Request("GET", "/?prefix=xz02tphky6fjfiuc&max-keys=1", "oss-cn-hangzhou.aliyuncs.com"),
        200,
        XML_RESPONSE,
        (
            "ListAllMyBucketsResult",
            [
                ("Prefix", "xz02tphky6fjfiuc"),
                ("Marker", ""),
                ("MaxKeys", "1"),
                ("IsTruncated", "true"),
                ("NextMarker", "xz02tphky6fjfiuc0"),
                ("Owner", [("ID", "****"), ("DisplayName", "****")]),
                (
                    "Buckets",
                    [
                        (
                            "Bucket",
                            [
                                ("CreationDate", "2014-05-15T11:18:32.000Z"),
                                *_place("cn-hangzhou"),
                                ("Name", "xz02tphky6fjfiuc0"),
                                ("Region", "cn-hangzhou"),
                                ("StorageClass", "Standard"),
                            ],
                        )
                    ],
                ),
            ],
        ),
        before=_many_buckets,
    ),
    Example(
        "PutBucket",
        "Examples",
        "Fri, 24 Feb 2017 03:15:40 GMT",
        Request(
            "PUT",
            "/",
            host(EXAMPLE),
            {"x-oss-acl": "private"},
            b'<?xml version="1.0" encoding="UTF-8"?>\n<CreateBucketConfiguration>\n'
            b"    <StorageClass>Standard</StorageClass>\n</CreateBucketConfiguration>",
        ),
        200,
        {**COMMON, "Content-Length": "0"},
    ),
    Example(
        "GetBucketInfo",
        "Success",
        "Sat, 12 Sep 2015 07:51:28 GMT",
        Request("GET", "/?bucketInfo", "oss-example.oss.aliyuncs.com"),
        200,
        {**COMMON, "Content-Length": "****"},
        (
            "BucketInfo",
            [
                (
                    "Bucket",
                    [
                        ("CreationDate", "2013-07-31T10:56:21.000Z"),
                        *_place("cn-hangzhou"),
                        ("StorageClass", "Standard"),
                        ("TransferAcceleration", "Disabled"),
                        ("CrossRegionReplication", "Disabled"),
                        ("Name", EXAMPLE),
                        ("Owner", [("DisplayName", "****"), ("ID", "****")]),
                        ("AccessControlList", [("Grant", "private")]),
                        ("Comment", "test"),
                    ],
                )
            ],
        ),
        before=lambda state: add_bucket(state, created="2013-07-31T10:56:21.000Z", comment="test"),
    ),
    Example(
        "GetBucketInfo",
        "A bucket that does not exist",
        "Sat, 12 Sep 2015 07:51:28 GMT",
        Request("GET", "/?bucketInfo", "nosuchbucket.oss.aliyuncs.com"),
        404,
        {**COMMON, "Content-Length": "****"},
        (
            "Error",
            [
                ("Code", "NoSuchBucket"),
                ("Message", "The specified bucket does not exist."),
                ("RequestId", "****"),
                ("HostId", "nosuchbucket.oss.aliyuncs.com"),
                ("BucketName", "nosuchbucket"),
            ],
        ),
    ),
    Example(
        "GetBucketInfo",
        "A bucket one may not see",
        "Sat, 12 Sep 2015 07:51:28 GMT",
        Request("GET", "/?bucketInfo", "test.oss.aliyuncs.com"),
        403,
        {**COMMON, "Content-Length": "****"},
        (
            "Error",
            [
                ("Code", "AccessDenied"),
                ("Message", "AccessDenied"),
                ("RequestId", "****"),
                ("HostId", "test.oss.aliyuncs.com"),
            ],
        ),
        before=lambda state: add_bucket(state, "test"),
        denied=("oss:GetBucketInfo",),
    ),
    Example(
        "GetBucketLocation",
        "Examples",
        "Fri, 04 May 2012 05:31:04 GMT",
        Request("GET", "/?location", host(EXAMPLE)),
        200,
        {**COMMON, "Content-Length": "****"},
        ("LocationConstraint", "oss-cn-hangzhou"),
        before=add_bucket,
    ),
    Example(
        "GetBucketV2 (ListObjectsV2)",
        "With Prefix",
        "Fri, 24 Feb 2012 08:43:27 GMT",
        Request("GET", "/?list-type=2&prefix=a&encoding-type=url", host(EXAMPLE)),
        200,
        XML_RESPONSE,
        (
            "ListBucketResult",
            [
                ("Name", EXAMPLE),
                ("Prefix", "a"),
                ("MaxKeys", "100"),
                ("EncodingType", "url"),
                ("IsTruncated", "false"),
                (
                    "Contents",
                    [
                        ("Key", "a"),
                        ("LastModified", "2020-05-18T05:45:43.000Z"),
                        ("ETag", '"35A27C2B9EAEEB6F48FD7FB5861D****"'),
                        ("Size", "25"),
                    ],
                ),
                (
                    "Contents",
                    [
                        # The page shows `a/b` with an encoding that its request does not contain. Here the request
                        # contains it, and the slash is encoded as in every listing.
                        ("Key", "a%2Fb"),
                        ("LastModified", "2020-05-18T05:45:47.000Z"),
                        ("ETag", '"35A27C2B9EAEEB6F48FD7FB5861D****"'),
                        ("Size", "25"),
                    ],
                ),
                ("KeyCount", "2"),
            ],
        ),
        before=_objects_a_b,
    ),
)


# --- Errors -----------------------------------------------------------------------------------------------------------

ERRORS = (
    Example(
        "Error responses",
        "A header that is not supported",
        "Sun, 11 Aug 2019 01:44:54 GMT",
        Request(
            "PUT",
            "/abc.zip",
            host("bucketname", "cn-shanghai"),
            {"Accept": "*/*", "If-Modified-Since": "Thu, 11 Aug 2019 01:43:51 GMT"},
            bytes(363),
        ),
        400,
        {**XML_RESPONSE, "x-oss-server-time": "****"},
        (
            "Error",
            [
                ("Code", "NotImplemented"),
                ("Message", "A header you provided implies functionality that is not implemented."),
                ("RequestId", "****"),
                ("HostId", "bucketname.oss-cn-shanghai.aliyuncs.com"),
                ("Header", "If-Modified-Since"),
            ],
        ),
        before=lambda state: add_bucket(state, "bucketname", "cn-shanghai"),
    ),
)

EXAMPLES = (*MULTIPART, *OBJECTS, *BUCKETS, *ERRORS)


# --- Tables -----------------------------------------------------------------------------------------------------------

ELEMENTS: Mapping[str, tuple[str, ...]] = {
    "InitiateMultipartUpload": ("Bucket", "Key", "UploadId", "EncodingType"),
    "CompleteMultipartUpload": ("Bucket", "ETag", "Location", "Key", "EncodingType"),
    "ListMultipartUploads": (
        "Bucket",
        "EncodingType",
        "KeyMarker",
        "UploadIdMarker",
        "NextKeyMarker",
        "NextUploadIdMarker",  # NextUploadMarker in the table, NextUploadIdMarker in the example and in every client.
        "MaxUploads",
        "Delimiter",
        "Prefix",
        "CommonPrefixes/Prefix",
        "IsTruncated",
        "Upload/Key",
        "Upload/UploadId",
        "Upload/Initiated",
    ),
    "ListParts": (
        "Bucket",
        "EncodingType",
        "Key",
        "UploadId",
        "PartNumberMarker",
        "NextPartNumberMarker",
        "MaxParts",
        "IsTruncated",
        "Part/PartNumber",
        "Part/LastModified",
        "Part/ETag",
        "Part/Size",
    ),
    "GetBucketInfo": (
        "Bucket/CreationDate",
        "Bucket/ExtranetEndpoint",
        "Bucket/IntranetEndpoint",
        "Bucket/Location",
        "Bucket/Name",
        "Bucket/Owner/ID",
        "Bucket/Owner/DisplayName",
        "Bucket/AccessControlList/Grant",
        "Bucket/DataRedundancyType",
        "Bucket/StorageClass",
        "Bucket/ServerSideEncryptionRule/SSEAlgorithm",
        "Bucket/CrossRegionReplication",
        "Bucket/TransferAcceleration",
    ),
}
"""The tables "Response elements". Versioning and KMSMasterKeyID of GetBucketInfo are omitted: few buckets have them."""


@dataclass(frozen=True)
class Error:
    """A row of a table "Error codes": a request to a bucket with the object `there` and the upload ID of `key`."""

    page: str
    code: str
    status: int
    method: str
    target: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    denied: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.page}: {self.code} {self.target[:40]}"


WRONG_MD5 = {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
FORBID = {"x-oss-forbid-overwrite": "true"}
BAD_CLASS = {"x-oss-storage-class": "Glacier"}

ERROR_TABLES = (
    Error("InitiateMultipartUpload", "InvalidArgument", 400, "POST", "/key?uploads", headers=BAD_CLASS),
    Error("InitiateMultipartUpload", "FileAlreadyExists", 409, "POST", "/there?uploads", headers=FORBID),
    Error("UploadPart", "InvalidArgument", 400, "PUT", "/key?partNumber=0&uploadId=ID", b"x"),
    Error("UploadPart", "InvalidArgument", 400, "PUT", "/key?partNumber=10001&uploadId=ID", b"x"),
    Error("UploadPart", "InvalidDigest", 400, "PUT", "/key?partNumber=1&uploadId=ID", b"x", WRONG_MD5),
    Error("CompleteMultipartUpload", "InvalidDigest", 400, "POST", "/key?uploadId=ID", b"x", WRONG_MD5),
    Error("CompleteMultipartUpload", "FileAlreadyExists", 409, "POST", "/there?uploadId=ID", COMPLETE, FORBID),
    Error("AbortMultipartUpload", "NoSuchUpload", 404, "DELETE", "/key?uploadId=OTHER"),
    Error("PutObject", "AccessDenied", 403, "PUT", "/key", b"x", denied=("oss:PutObject",)),
    Error("PutObject", "InvalidObjectName", 400, "PUT", "/" + "x" * 1024, b"x"),
    Error("PutObject", "InvalidArgument", 400, "PUT", "/key", b"x", BAD_CLASS),
    Error("PutObject", "InvalidDigest", 400, "PUT", "/key", b"x", WRONG_MD5),
    Error("PutObject", "FileAlreadyExists", 409, "PUT", "/there", b"x", FORBID),
    Error("HeadObject", "NoSuchKey", 404, "HEAD", "/key"),
    Error("PutBucket", "BucketAlreadyExists", 409, "PUT", "/"),
    Error("PutBucket", "AccessDenied", 403, "PUT", "/", denied=("oss:PutBucket",)),
    Error("GetBucketLocation", "AccessDenied", 403, "GET", "/?location", denied=("oss:GetBucketLocation",)),
    Error("GetBucketInfo", "AccessDenied", 403, "GET", "/?bucketInfo", denied=("oss:GetBucketInfo",)),
)
"""PutObject's page calls a wrong Content-MD5 "Bad Request", HeadObject's a missing object "Not Found": their codes are
on the pages of the HTTP status codes 400 and 404."""
