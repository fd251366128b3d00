"""Lifecycle documents of both APIs, which a change of our rule must leave as they are."""

from __future__ import annotations

S3 = "http://s3.amazonaws.com/doc/2006-03-01/"


def s3(rules: str, name: str = "") -> bytes:
    declared, colon = (f"xmlns:{name}", f"{name}:") if name else ("xmlns", "")
    return f'<{colon}LifecycleConfiguration {declared}="{S3}">{rules}</{colon}LifecycleConfiguration>'.encode()


def oss(rules: str) -> bytes:
    return f'<?xml version="1.0"?><LifecycleConfiguration>{rules}</LifecycleConfiguration>'.encode()


EXPIRES = (
    "<Rule><ID>logs</ID><Filter><Prefix>logs/&amp;&lt;ä </Prefix></Filter><Status>Enabled</Status>"
    "<Expiration><Days>30</Days></Expiration></Rule>"
)
S3_RULES = {
    "expiration": EXPIRES,
    "disabled": EXPIRES.replace("Enabled", "Disabled"),
    "a tag": EXPIRES.replace("<Prefix>logs/&amp;&lt;ä </Prefix>", "<Tag><Key>kind</Key><Value> a&amp;b </Value></Tag>"),
    "prefix and tags": EXPIRES.replace(
        "<Prefix>logs/&amp;&lt;ä </Prefix>",
        "<And><Prefix>x/</Prefix><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key><Value>2</Value></Tag></And>",
    ),
    "prefix and a tag": EXPIRES.replace(
        "<Prefix>logs/&amp;&lt;ä </Prefix>",
        "<And><Prefix>x/</Prefix><Tag><Key>a</Key><Value>1</Value></Tag></And>",
    ),
    "old versions": EXPIRES.replace(
        "<Expiration><Days>30</Days></Expiration>",
        "<NoncurrentVersionExpiration><NoncurrentDays>9</NoncurrentDays></NoncurrentVersionExpiration>",
    ),
    "two rules": EXPIRES + EXPIRES.replace("logs", "zebra"),
    "an abort of somebody else": EXPIRES.replace(
        "</Rule>",
        "<AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
        "</Rule>",
    ),
    "old prefix": "<Rule><ID>o</ID><Prefix>old/</Prefix><Status>Enabled</Status><Expiration><Days>9</Days></Expiration>"
    "</Rule>",
}
"""Rules that Ceph keeps."""

S3_ONLY = {
    "unknown elements": EXPIRES.replace(
        "</Rule>", '<Novel xmlns:n="urn:new" n:level="7"><n:Deep> text </n:Deep><n:Deep/></Novel></Rule>'
    ),
    "sizes": EXPIRES.replace(
        "<Prefix>logs/&amp;&lt;ä </Prefix>",
        "<And><Prefix>x</Prefix><ObjectSizeGreaterThan>500</ObjectSizeGreaterThan>"
        "<ObjectSizeLessThan>64000</ObjectSizeLessThan></And>",
    ),
    "transitions": EXPIRES.replace(
        "<Expiration>",
        "<Transition><Days>5</Days><StorageClass>GLACIER</StorageClass></Transition>"
        "<Transition><Date>2030-01-01T00:00:00Z</Date><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>"
        "<Expiration>",
    ),
    "comments and space": f"\n  <!-- by hand -->\n  {EXPIRES}\n",
}
"""Rules that Ceph refuses or changes, whoever writes them."""

OSS_RULE = (
    "<Rule><ID>r1</ID><Prefix>logs/ä</Prefix><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>"
)
OSS_RULES = {
    "expiration": OSS_RULE,
    "tags": OSS_RULE.replace("<Status>", "<Tag><Key>a</Key><Value> 1 </Value></Tag><Status>"),
    "exceptions": OSS_RULE.replace(
        "<Status>",
        "<Filter><Not><Prefix>logs/äkeep</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></Not>"
        "<ObjectSizeGreaterThan>7</ObjectSizeGreaterThan></Filter><Status>",
    ),
    "transitions": OSS_RULE.replace(
        "<Expiration>",
        "<Transition><Days>5</Days><StorageClass>IA</StorageClass><IsAccessTime>true</IsAccessTime>"
        "<ReturnToStdWhenVisit>false</ReturnToStdWhenVisit></Transition><Expiration>",
    ),
    "unknown elements": OSS_RULE.replace("</Rule>", '<Novel level="7"><Deep> text </Deep><Deep/></Novel></Rule>'),
    "access times": OSS_RULE.replace("</Rule>", "<AtimeBase>1690000000</AtimeBase></Rule>"),
    "an abort of somebody else": OSS_RULE.replace(
        "</Rule>",
        "<AbortMultipartUpload><CreatedBeforeDate>2020-01-01T00:00:00.000Z</CreatedBeforeDate></AbortMultipartUpload>"
        "</Rule>",
    ),
}

GOOGLE = """<?xml version="1.0" encoding="UTF-8"?>
<LifecycleConfiguration>
  <Rule>
    <Action><AbortIncompleteMultipartUpload/></Action>
    <Condition><Age>7</Age></Condition>
  </Rule>
  <Rule>
    <Action><SetStorageClass>NEARLINE</SetStorageClass></Action>
    <Condition><Age>365</Age><MatchesStorageClass>STANDARD</MatchesStorageClass></Condition>
  </Rule>
  <Rule>
    <Action><Delete/></Action>
    <Condition><Age>30</Age><IsLive>false</IsLive></Condition>
  </Rule>
  <Rule>
    <Action><AbortIncompleteMultipartUpload/></Action>
    <Condition><Age>1</Age><MatchesPrefix>tmp/&amp;ä</MatchesPrefix><MatchesSuffix>.part</MatchesSuffix></Condition>
  </Rule>
</LifecycleConfiguration>
""".encode()
"""The form of Google's XML API: https://cloud.google.com/storage/docs/xml-api/get-bucket-lifecycle."""
