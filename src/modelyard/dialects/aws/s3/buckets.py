"""Buckets over S3: made, listed, found, tagged, deleted.

Follows https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html and its neighbours.
"""

from __future__ import annotations

from modelyard.base.errors import AlreadyExists
from modelyard.core.artifacts.model import MODELS_BUCKET
from modelyard.dialects.aws.s3.call import S3Call, empty, operation, xml
from modelyard.dialects.aws.s3.errors import S3Error
from modelyard.dialects.aws.s3.listing import owner_fields
from modelyard.dialects.aws.s3.threads import in_thread
from modelyard.dialects.aws.s3.translate import tag_fields, tags_of_document
from modelyard.dialects.aws.s3.xml import BadXml, Element, Field, read, timestamp
from modelyard.edge.http import Response

_FIRST_REGION = "us-east-1"
_TAGS = 50


@operation("service", "GET")
async def list_buckets(call: S3Call) -> Response:
    query = call.query
    prefix, after, region = query.get("prefix", ""), query.get("continuation-token", ""), query.get("bucket-region")
    most = call.number("max-buckets", 10_000, 10_000, least=1)
    found = [
        bucket
        for bucket in call.artifacts.list_buckets()
        if bucket.name.startswith(prefix) and bucket.name > after and region in (None, "", bucket.region)
    ]
    shown = found[:most]
    buckets: list[Field] = [
        (
            "Bucket",
            [("Name", each.name), ("CreationDate", timestamp(each.created)), ("BucketRegion", each.region)],
        )
        for each in shown
    ]
    return xml(
        "ListAllMyBucketsResult",
        [
            ("Buckets", buckets),
            *owner_fields(call),
            ("ContinuationToken", shown[-1].name if len(found) > most else None),
            ("Prefix", prefix or None),
        ],
    )


@operation("bucket", "PUT")
async def create_bucket(call: S3Call) -> Response:
    body = await call.body()
    root = _configuration(body) if body else Element("")
    region = root.get("LocationConstraint") or call.region
    tags = root.find("Tags")
    pairs = Element("Tagging", [Element("TagSet", tags.children)]) if tags is not None else None
    try:
        await in_thread(
            call.artifacts.create_bucket,
            call.bucket,
            "eu-west-1" if region == "EU" else region,
            tags_of_document(pairs, _TAGS) if pairs is not None else None,
        )
    except AlreadyExists:
        # In its first region S3 answers the owner's second creation with success.
        if region != _FIRST_REGION or call.bucket == MODELS_BUCKET:
            raise
    return empty(200, (("location", f"/{call.bucket}"),))


@operation("bucket", "HEAD")
async def head_bucket(call: S3Call) -> Response:
    bucket = call.artifacts.head_bucket(call.bucket)
    return empty(200, (("x-amz-bucket-region", bucket.region), ("content-type", "application/xml")))


@operation("bucket", "DELETE")
async def delete_bucket(call: S3Call) -> Response:
    await in_thread(call.artifacts.delete_bucket, call.bucket)
    return empty(204)


@operation("bucket", "GET", "location")
async def get_bucket_location(call: S3Call) -> Response:
    region = call.artifacts.head_bucket(call.bucket).region
    name = "LocationConstraint"
    answer = xml(name, [])
    if region != _FIRST_REGION and isinstance(answer.body, bytes):
        answer.body = answer.body.replace(f"</{name}>".encode(), f"{region}</{name}>".encode())
    return answer


@operation("bucket", "GET", "tagging")
async def get_bucket_tagging(call: S3Call) -> Response:
    tags = call.artifacts.head_bucket(call.bucket).tags
    if not tags:
        raise S3Error("NoSuchTagSet", "The TagSet does not exist", BucketName=call.bucket)
    return xml("Tagging", tag_fields(tags))


@operation("bucket", "PUT", "tagging")
async def put_bucket_tagging(call: S3Call) -> Response:
    tags = tags_of_document(await call.document("Tagging"), _TAGS)
    await in_thread(call.artifacts.tag_bucket, call.bucket, tags)
    return empty(204)


@operation("bucket", "DELETE", "tagging")
async def delete_bucket_tagging(call: S3Call) -> Response:
    await in_thread(call.artifacts.tag_bucket, call.bucket, {})
    return empty(204)


def _configuration(body: bytes) -> Element:
    try:
        root = read(body)
    except BadXml:
        raise S3Error("MalformedXML") from None
    if root.name != "CreateBucketConfiguration":
        raise S3Error("MalformedXML")
    return root
