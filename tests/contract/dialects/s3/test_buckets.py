"""Buckets through boto3."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.dialects.s3.server import S3Server


def code(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    """The error's code and HTTP status."""
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_bucket_s_life(s3: Any, bucket: str) -> None:
    assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"
    assert bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    with pytest.raises(ClientError) as caught:
        s3.delete_bucket(Bucket=bucket)
    assert code(caught) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError) as caught:
        s3.head_bucket(Bucket=bucket)
    assert code(caught) == ("404", 404)
    with pytest.raises(ClientError) as caught:
        s3.list_objects_v2(Bucket=bucket)
    assert code(caught) == ("NoSuchBucket", 404)


def test_waiters_see_buckets_and_objects_come_and_go(s3: Any, bucket: str) -> None:
    s3.get_waiter("bucket_exists").wait(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    s3.get_waiter("object_exists").wait(Bucket=bucket, Key="k")
    s3.delete_object(Bucket=bucket, Key="k")
    s3.get_waiter("object_not_exists").wait(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    s3.get_waiter("bucket_not_exists").wait(Bucket=bucket)


def test_a_bucket_of_another_region(server: S3Server) -> None:
    s3 = server.client("eu-central-1")
    place = {"LocationConstraint": "eu-central-1"}
    s3.create_bucket(Bucket="in-frankfurt", CreateBucketConfiguration=place)
    assert s3.get_bucket_location(Bucket="in-frankfurt")["LocationConstraint"] == "eu-central-1"
    with pytest.raises(ClientError) as caught:
        s3.create_bucket(Bucket="in-frankfurt", CreateBucketConfiguration=place)
    assert code(caught) == ("BucketAlreadyOwnedByYou", 409)
    found = s3.list_buckets(BucketRegion="eu-central-1", Prefix="in-")["Buckets"]
    assert [each["Name"] for each in found] == ["in-frankfurt"]


def test_creating_again_in_the_first_region_succeeds(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)


@pytest.mark.parametrize("name", ["ab", "Upper", "a_b", "-a-b", "192.168.5.4", "a" * 64, "a..b"])
def test_illegal_names(server: S3Server, name: str) -> None:
    s3 = server.client()
    s3.meta.events.unregister("before-parameter-build.s3", _validator(s3))
    with pytest.raises(ClientError) as caught:
        s3.create_bucket(Bucket=name)
    assert code(caught) == ("InvalidBucketName", 400)


def _validator(_client: Any) -> Any:
    from botocore.handlers import validate_bucket_name

    return validate_bucket_name


def test_listing_buckets_by_pages(s3: Any) -> None:
    for number in range(3):
        s3.create_bucket(Bucket=f"paged-{number}")
    pages = s3.get_paginator("list_buckets").paginate(Prefix="paged-", PaginationConfig={"PageSize": 2})
    assert [[each["Name"] for each in page["Buckets"]] for page in pages] == [["paged-0", "paged-1"], ["paged-2"]]


def test_tags(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as caught:
        s3.get_bucket_tagging(Bucket=bucket)
    assert code(caught) == ("NoSuchTagSet", 404)
    tags = [{"Key": "team", "Value": "ä b&c"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    with pytest.raises(ClientError):
        s3.get_bucket_tagging(Bucket=bucket)


def test_the_owner_can_be_asserted(s3: Any, bucket: str) -> None:
    s3.list_objects_v2(Bucket=bucket, ExpectedBucketOwner="000000000000")
    with pytest.raises(ClientError) as caught:
        s3.list_objects_v2(Bucket=bucket, ExpectedBucketOwner="111111111111")
    assert code(caught) == ("AccessDenied", 403)


def test_the_sdk_s_default_bucket_is_made_on_demand(s3: Any) -> None:
    name = "sagemaker-eu-west-3-000000000000"
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "eu-west-3"
    s3.put_object(Bucket="sagemaker-us-east-1-000000000000", Key="k", Body=b"1")
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-3"


def test_the_models_bucket_is_read_only(server: S3Server, s3: Any) -> None:
    name = "modelyard-models"
    with server.artifacts.put(name, "m/1/model.tar.gz", owner=True) as writer:
        writer.write(b"model")
        writer.commit()
    assert s3.get_object(Bucket=name, Key="m/1/model.tar.gz")["Body"].read() == b"model"
    assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 1
    source = {"Bucket": name, "Key": "m/1/model.tar.gz"}
    refused = [
        lambda: s3.put_object(Bucket=name, Key="k", Body=b"1"),
        lambda: s3.delete_object(**source),
        lambda: s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "k"}]}),
        lambda: s3.copy_object(Bucket=name, Key="k", CopySource=source),
        lambda: s3.create_multipart_upload(Bucket=name, Key="k"),
        lambda: s3.put_object_tagging(**source, Tagging={"TagSet": []}),
        lambda: s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": []}),
        lambda: s3.delete_bucket(Bucket=name),
    ]
    for call in refused:
        with pytest.raises(ClientError) as caught:
            call()
        assert code(caught) == ("AccessDenied", 403)
    with pytest.raises(ClientError) as caught:
        s3.create_bucket(Bucket=name)
    assert code(caught) == ("BucketAlreadyOwnedByYou", 409)


DEFAULTS = {
    "get_bucket_acl": lambda answer: answer["Grants"][0]["Permission"] == "FULL_CONTROL",
    "get_bucket_versioning": lambda answer: "Status" not in answer,
    "get_bucket_accelerate_configuration": lambda answer: "Status" not in answer,
    "get_bucket_request_payment": lambda answer: answer["Payer"] == "BucketOwner",
    "get_bucket_logging": lambda answer: "LoggingEnabled" not in answer,
    "get_bucket_notification_configuration": lambda answer: "TopicConfigurations" not in answer,
    "get_bucket_encryption": lambda answer: (
        answer["ServerSideEncryptionConfiguration"]["Rules"][0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
        == "AES256"
    ),
    "get_bucket_ownership_controls": lambda answer: (
        answer["OwnershipControls"]["Rules"][0]["ObjectOwnership"] == "BucketOwnerEnforced"
    ),
    "get_public_access_block": lambda answer: answer["PublicAccessBlockConfiguration"]["BlockPublicAcls"],
    "list_bucket_metrics_configurations": lambda answer: not answer["IsTruncated"],
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_was_never_set_has_its_default(s3: Any, bucket: str, name: str) -> None:
    assert DEFAULTS[name](getattr(s3, name)(Bucket=bucket))
    with pytest.raises(ClientError) as caught:
        getattr(s3, name)(Bucket="no-such-bucket")
    assert code(caught) == ("NoSuchBucket", 404)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("get_bucket_policy", "NoSuchBucketPolicy"),
        ("get_bucket_policy_status", "NoSuchBucketPolicy"),
        ("get_bucket_cors", "NoSuchCORSConfiguration"),
        ("get_bucket_website", "NoSuchWebsiteConfiguration"),
        ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
        ("get_bucket_replication", "ReplicationConfigurationNotFoundError"),
        ("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError"),
    ],
)
def test_what_was_never_set_has_its_own_error(s3: Any, bucket: str, name: str, expected: str) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(s3, name)(Bucket=bucket)
    assert code(caught) == (expected, 404)


def test_what_changes_nothing_may_be_set_and_nothing_else(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.delete_bucket_policy(Bucket=bucket)
    refused = [
        lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}),
        lambda: s3.put_bucket_policy(Bucket=bucket, Policy="{}"),
        lambda: s3.put_bucket_acl(Bucket=bucket, ACL="public-read"),
        lambda: s3.restore_object(Bucket=bucket, Key="k"),
        lambda: s3.get_object_torrent(Bucket=bucket, Key="k"),
    ]
    codes = []
    for call in refused:
        with pytest.raises(ClientError) as caught:
            call()
        codes.append(code(caught)[0])
    assert codes == [*["NotImplemented"] * 2, "AccessControlListNotSupported", *["NotImplemented"] * 2]
