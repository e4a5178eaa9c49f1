"""POST forms as boto3 makes them hold; changed ones do not."""

import time

import boto3
import pytest
from botocore.config import Config

from modelyard.core.identity.model import Credential
from modelyard.edge.claims import Fault, SignatureRefused
from modelyard.edge.postpolicy import check_conditions, verify_form

KEY = Credential("AKIAEXAMPLE", "secret", "AKIAEXAMPLE")


def form_of(version, **options):
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url="http://h",
        aws_access_key_id=KEY.access_key,
        aws_secret_access_key=KEY.secret,
        config=Config(signature_version=version),
    )
    made = client.generate_presigned_post("bucket", "in/${filename}", **options)
    return {name.lower(): value for name, value in made["fields"].items()}


def lookup(key):
    return KEY if key == KEY.access_key else None


def fault(call, *args):
    with pytest.raises(SignatureRefused) as caught:
        call(*args)
    return caught.value.fault


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_signed_form_holds_until_its_policy_ends(version):
    fields = form_of(version, ExpiresIn=60)
    form = verify_form(fields, lookup, time.time())
    assert form.credential == KEY
    check_conditions(form, {**fields, "key": "in/a.csv"}, "bucket", 10)
    assert fault(verify_form, fields, lookup, time.time() + 62) is Fault.POLICY
    other = form_of(version, ExpiresIn=600)["policy"]
    assert fault(verify_form, {**fields, "policy": other}, lookup, time.time()) is Fault.MISMATCH
    assert fault(verify_form, {**fields, "x-amz-security-token": "x"}, lookup, time.time()) is Fault.BAD_TOKEN
    assert fault(verify_form, fields, lambda key: None, time.time()) is Fault.UNKNOWN_KEY


def test_a_form_without_a_policy_is_anonymous():
    assert verify_form({"key": "a"}, lookup, 0) is None
    assert fault(verify_form, {"key": "a", "policy": "x"}, lookup, 0) is Fault.MALFORMED


def test_conditions():
    conditions = [["content-length-range", 1, 20], ["starts-with", "$Content-Type", "text/"], {"acl": "private"}]
    fields = form_of("s3v4", Conditions=conditions) | {"key": "in/a", "content-type": "text/csv", "acl": "private"}
    form = verify_form(fields, lookup, time.time())
    assert form.longest == 20
    check_conditions(form, fields, "bucket", 20)
    for changed, bucket, size in [
        (fields, "bucket", 21),
        (fields, "bucket", 0),
        (fields, "other", 5),
        (fields | {"key": "out/a"}, "bucket", 5),
        (fields | {"content-type": "image/png"}, "bucket", 5),
        (fields | {"x-amz-meta-a": "1"}, "bucket", 5),
        ({name: value for name, value in fields.items() if name != "acl"}, "bucket", 5),
    ]:
        assert fault(check_conditions, form, changed, bucket, size) is Fault.POLICY


@pytest.mark.parametrize(
    "policy",
    ["{", "[]", '{"expiration":"x","conditions":[]}', '{"expiration":"2100-01-01T00:00:00Z","conditions":[1]}'],
)
def test_a_policy_that_cannot_be_read(policy):
    import base64
    import hmac

    encoded = base64.b64encode(policy.encode()).decode()
    signature = base64.b64encode(hmac.digest(KEY.secret.encode(), encoded.encode(), "sha1")).decode()
    fields = {"policy": encoded, "awsaccesskeyid": KEY.access_key, "signature": signature}
    assert fault(verify_form, fields, lookup, 0) is Fault.MALFORMED
