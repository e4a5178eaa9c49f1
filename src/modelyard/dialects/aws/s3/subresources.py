"""What else S3 says about buckets and objects: the defaults of a bucket for which nothing was ever set.

Terraform and the console read these (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html). Setting one
to what it is anyway succeeds; setting it to anything else is answered NotImplemented, so that nobody believes in a
policy, a lock or a lifecycle that nothing here enforces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelyard.dialects.aws.s3.call import Level, Operation, S3Call, empty, operation, xml
from modelyard.dialects.aws.s3.errors import S3Error
from modelyard.dialects.aws.s3.listing import owner_fields
from modelyard.dialects.aws.s3.xml import BadXml, Element, Field, Value, document, read
from modelyard.edge.http import Response

_ENFORCED = "BucketOwnerEnforced"


@dataclass(frozen=True, slots=True)
class _Absent:
    """A sub-resource that nothing has set: reading it is this error, deleting it succeeds."""

    code: str
    message: str


_ABSENT = {
    "policy": _Absent("NoSuchBucketPolicy", "The bucket policy does not exist"),
    "policyStatus": _Absent("NoSuchBucketPolicy", "The bucket policy does not exist"),
    "cors": _Absent("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
    "website": _Absent("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"),
    "lifecycle": _Absent("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
    "replication": _Absent("ReplicationConfigurationNotFoundError", "The replication configuration was not found"),
    "object-lock": _Absent(
        "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket"
    ),
    "analytics": _Absent("NoSuchConfiguration", "The specified configuration does not exist."),
    "inventory": _Absent("NoSuchConfiguration", "The specified configuration does not exist."),
    "metrics": _Absent("NoSuchConfiguration", "The specified configuration does not exist."),
    "intelligent-tiering": _Absent("NoSuchConfiguration", "The specified configuration does not exist."),
}
_LISTS = {
    "analytics": "ListBucketAnalyticsConfigurationResult",
    "inventory": "ListInventoryConfigurationsResult",
    "metrics": "ListMetricsConfigurationsResult",
    "intelligent-tiering": "ListBucketIntelligentTieringConfigurationsOutput",
}
_ENCRYPTION: Sequence[Field] = [
    (
        "Rule",
        [
            ("ApplyServerSideEncryptionByDefault", [("SSEAlgorithm", "AES256")]),
            ("BucketKeyEnabled", False),
        ],
    )
]
_PUBLIC_ACCESS: Sequence[Field] = [
    ("BlockPublicAcls", True),
    ("IgnorePublicAcls", True),
    ("BlockPublicPolicy", True),
    ("RestrictPublicBuckets", True),
]
_DEFAULTS: dict[str, tuple[str, Sequence[Field]]] = {
    "accelerate": ("AccelerateConfiguration", []),
    "encryption": ("ServerSideEncryptionConfiguration", _ENCRYPTION),
    "logging": ("BucketLoggingStatus", []),
    "notification": ("NotificationConfiguration", []),
    "ownershipControls": ("OwnershipControls", [("Rule", [("ObjectOwnership", _ENFORCED)])]),
    "publicAccessBlock": ("PublicAccessBlockConfiguration", _PUBLIC_ACCESS),
    "requestPayment": ("RequestPaymentConfiguration", [("Payer", "BucketOwner")]),
    "versioning": ("VersioningConfiguration", []),
}
_HARMLESS = {
    "accelerate": {"Status": {"Suspended"}},
    "encryption": {"SSEAlgorithm": {"AES256"}, "BucketKeyEnabled": {"true", "false"}},
    "requestPayment": {"Payer": {"BucketOwner"}},
    "versioning": {"Status": {"Suspended"}, "MfaDelete": {"Disabled"}},
    "ownershipControls": {"ObjectOwnership": {_ENFORCED}},
    "publicAccessBlock": {name: {"true"} for name, _ in _PUBLIC_ACCESS},
}
"""Values that change nothing, by the leaf that holds them."""

_CANONICAL_USER = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"'
_PRIVATE_ACLS = frozenset(("", "private", "bucket-owner-full-control"))


def _reader(name: str) -> Operation:
    async def get(call: S3Call) -> Response:
        call.artifacts.head_bucket(call.bucket)
        if name in _DEFAULTS:
            return xml(*_DEFAULTS[name])
        if name in _LISTS and "id" not in call.query:
            return xml(_LISTS[name], [("IsTruncated", False)])
        absent = _ABSENT[name]
        raise S3Error(absent.code, absent.message, BucketName=call.bucket)

    return get


def _writer(name: str) -> Operation:
    async def put(call: S3Call) -> Response:
        call.artifacts.check_writable(call.bucket)
        call.artifacts.head_bucket(call.bucket)
        body = await call.body()
        allowed = _HARMLESS.get(name, {})
        try:
            leaves = _leaves(read(body)) if body.lstrip()[:1] == b"<" else [("", "")]
        except BadXml:
            raise S3Error("MalformedXML") from None
        if any(value not in allowed.get(leaf, ()) for leaf, value in leaves):
            raise S3Error(
                "NotImplemented",
                f"This server does not act on {name}; it cannot be set to that",
                BucketName=call.bucket,
            )
        return empty()

    return put


async def _delete(call: S3Call) -> Response:
    call.artifacts.check_writable(call.bucket)
    call.artifacts.head_bucket(call.bucket)
    return empty(204)


def _leaves(element: Element) -> list[tuple[str, str]]:
    found = [leaf for child in element.children for leaf in _leaves(child)]
    if not element.children and element.text.strip():
        found.append((element.name, element.text.strip()))
    return found


def _acl(find: Callable[[S3Call], object]) -> Operation:
    async def get(call: S3Call) -> Response:
        find(call)
        who = f"<Grantee {_CANONICAL_USER}><ID>{call.owner.account}</ID></Grantee>"
        grants: Value = [("Grant", [("Permission", "FULL_CONTROL")])]
        body = document("AccessControlPolicy", [*owner_fields(call), ("AccessControlList", grants)])
        return Response(
            200, (("content-type", "application/xml"),), body.replace(b"<Grant>", b"<Grant>" + who.encode())
        )

    return get


def _set_acl(find: Callable[[S3Call], object]) -> Operation:
    async def put(call: S3Call) -> Response:
        call.artifacts.check_writable(call.bucket)
        find(call)
        granted = any(name.startswith("x-amz-grant-") for name, _ in call.request.headers)
        body = await call.body()
        if granted or body or call.header("x-amz-acl") not in _PRIVATE_ACLS:
            raise S3Error("AccessControlListNotSupported")
        return empty()

    return put


def _find_bucket(call: S3Call) -> object:
    return call.artifacts.head_bucket(call.bucket)


def _find_object(call: S3Call) -> object:
    return call.artifacts.head(call.bucket, call.key)


def _register() -> None:
    for name in (*_DEFAULTS, *_ABSENT):
        operation("bucket", "GET", name)(_reader(name))
        operation("bucket", "PUT", name)(_writer(name))
        operation("bucket", "DELETE", name)(_delete)
    finds: tuple[tuple[Level, Callable[[S3Call], object]], ...] = (("bucket", _find_bucket), ("object", _find_object))
    for level, find in finds:
        operation(level, "GET", "acl")(_acl(find))
        operation(level, "PUT", "acl")(_set_acl(find))


_register()
