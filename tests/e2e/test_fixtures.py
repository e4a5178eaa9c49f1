"""The fixtures that the package ships, as a user's test suite gets them."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection

import boto3
import pytest

from modelyard.testing.server import RunningServer


@pytest.fixture
def another_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a developer's shell and the tests before may have left."""
    theirs = boto3.Session("THEIRS", "secret", region_name="eu-west-1")
    monkeypatch.setenv("AWS_PROFILE", "somebody")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-theirs")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", theirs)


@pytest.mark.usefixtures("another_account")
def test_clients_that_the_code_under_test_makes_are_the_servers(modelyard_aws: RunningServer) -> None:
    assert boto3.client("sts").get_caller_identity()["Account"] == "000000000000"
    boto3.client("s3").create_bucket(Bucket="made-by-code")
    modelyard_aws.client("s3").head_bucket(Bucket="made-by-code")
    program = "import boto3; print(boto3.client('s3').list_buckets()['Buckets'][0]['Name'])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert told.stdout == "made-by-code\n", told.stderr


def test_a_presigned_url_takes_a_file_as_curl_sends_it_and_no_type_that_was_not_signed(
    modelyard_server: RunningServer,
) -> None:
    s3 = modelyard_server.client("s3")
    s3.create_bucket(Bucket="shared")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "shared", "Key": "note.txt"})
    assert put(modelyard_server, url, {"Expect": "100-continue"})[0] == 200  # curl -T
    assert s3.get_object(Bucket="shared", Key="note.txt")["Body"].read() == b"noted"
    status, body = put(modelyard_server, url, {"Content-Type": "application/x-www-form-urlencoded"})  # --data-binary
    assert status == 403 and b"<Code>SignatureDoesNotMatch</Code>" in body


def put(server: RunningServer, url: str, headers: dict[str, str]) -> tuple[int, bytes]:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("PUT", url.removeprefix(server.url), b"noted", headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
