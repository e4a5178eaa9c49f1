"""Uploads by form: presigned POST as boto3 makes it, and forms that break its policy."""

from __future__ import annotations

import os
from typing import Any

import pytest
import requests

from tests.contract.dialects.s3.server import S3Server

REGIONS = ["us-east-1", "eu-central-1"]
"""boto3 signs forms by version 2 in the first, by version 4 in the second."""


def post(form: dict[str, Any], content: bytes, name: str = "a.bin", **changed: str) -> requests.Response:
    """Send the form with a file."""
    return requests.post(
        form["url"],
        data={**form["fields"], **changed},
        files={"file": (name, content)},
        timeout=30,
        allow_redirects=False,
    )


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("size", [0, 5, 20_000, 3_000_000])
def test_a_form_makes_an_object(server: S3Server, s3: Any, bucket: str, region: str, size: int) -> None:
    content = os.urandom(size) + b"\r\n--not the boundary\r\n"
    form = server.client(region).generate_presigned_post(
        bucket,
        "in/${filename}",
        Fields={"Content-Type": "x/y", "x-amz-meta-who": "me", "success_action_status": "201"},
        Conditions=[
            {"Content-Type": "x/y"},
            {"x-amz-meta-who": "me"},
            {"success_action_status": "201"},
            ["content-length-range", 1, 4_000_000],
        ],
    )
    answer = post(form, content, "C:\\dir\\ä.bin")
    assert answer.status_code == 201, answer.text
    assert "<PostResponse>" in answer.text
    found = s3.get_object(Bucket=bucket, Key="in/ä.bin")
    assert found["Body"].read() == content
    assert (found["ContentType"], found["Metadata"], found["ETag"]) == ("x/y", {"who": "me"}, answer.headers["etag"])


@pytest.mark.parametrize("region", REGIONS)
def test_forms_that_break_their_policy(server: S3Server, s3: Any, bucket: str, region: str) -> None:
    before = len(server.blob_files())
    client = server.client(region)
    form = client.generate_presigned_post(bucket, "k", Conditions=[["content-length-range", 3, 100_000]])
    other = client.generate_presigned_post(bucket, "k", ExpiresIn=-1)
    signature = "x-amz-signature" if "x-amz-signature" in form["fields"] else "signature"
    answers = [
        post(form, b"abc", key="other"),
        post(form, b"abc", acl="public-read"),
        post(form, b"ab"),
        post(form, b"x" * 100_001),
        post(form, b"abc", policy=other["fields"]["policy"]),
        post(form, b"abc", **{signature: "0" * 64}),
        post({"url": form["url"], "fields": {"key": "k"}}, b"abc"),
        post(other, b"abc"),
        requests.post(form["url"], files={"key": (None, "k")}, timeout=10),
        requests.post(
            form["url"], data=b"junk", headers={"Content-Type": "multipart/form-data; boundary=x"}, timeout=10
        ),
        requests.post(form["url"], data=b"junk", headers={"Content-Type": "multipart/form-data"}, timeout=10),
        post(form, b"abc", big="x" * 30_000),
    ]
    assert [answer.status_code for answer in answers if answer.status_code not in (400, 403)] == []
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert len(server.blob_files()) == before
    assert post(form, b"abc").status_code == 204


def test_a_form_that_ends_in_its_file_leaves_nothing(server: S3Server, s3: Any, bucket: str) -> None:
    before = len(server.blob_files())
    form = s3.generate_presigned_post(bucket, "k")
    request = requests.Request("POST", form["url"], data=form["fields"], files={"file": ("f", b"x" * 50_000)}).prepare()
    assert isinstance(request.body, bytes)
    cut = requests.post(
        form["url"], data=request.body[:40_000], headers={"Content-Type": request.headers["Content-Type"]}, timeout=10
    )
    assert cut.status_code == 400
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert len(server.blob_files()) == before


def test_a_form_may_send_the_browser_on(s3: Any, bucket: str) -> None:
    target = "https://example.org/done?x=1"
    form = s3.generate_presigned_post(
        bucket,
        "k",
        Fields={"success_action_redirect": target},
        Conditions=[["starts-with", "$success_action_redirect", "https://example.org/"]],
    )
    answer = post(form, b"abc")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{target}&bucket={bucket}&key=k&etag=")
