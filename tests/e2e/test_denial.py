"""Forms and documents made to keep a server busy or to make it read elsewhere are refused, and delay nobody."""

from __future__ import annotations

import time

import pytest
from botocore.exceptions import ClientError

from modelyard.testing.server import RunningServer
from tests.e2e import wire

FORM = "multipart/form-data; boundary="


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (FORM + '"' + ";" * 60_000, b""),
        (FORM + '\\";' * 20_000, b"--\\\r\n"),
        (FORM + "b", b"--b\r\n" + b'Content-Disposition: form-data; name="' + b";" * 7_000 + b'"\r\n\r\n\r\n'),
        (FORM + "b", b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + b"y" * 3_000_000),
        (FORM + "b", (b'--b\r\nContent-Disposition: form-data; name="x%d"\r\n\r\ny\r\n' % 7) * 50_000),
        (FORM + "b", b"\r" * 2_000_000),
        (FORM + "b" * 5000, b"x" * 100_000),
        (FORM, b"----\r\n" * 100_000),
    ],
)
def test_a_hostile_form_is_refused_and_delays_nobody(server: RunningServer, content_type: str, body: bytes) -> None:
    server.client("s3").create_bucket(Bucket="forms")
    data = wire.head("POST", "/forms", {"Content-Type": content_type, "Content-Length": len(body)}) + body
    began = time.monotonic()
    with wire.connect(server) as raw:
        try:
            raw.send(data)
        except (BrokenPipeError, ConnectionResetError):
            return
        assert 400 <= raw.read().status < 500
    assert server.healthy()
    assert time.monotonic() - began < 2


def test_hostile_parts_headers_delay_nobody(server: RunningServer) -> None:
    """Many parts, each with a head that is dear to read: what brought multipart readers down."""
    server.client("s3").create_bucket(Bucket="forms")
    part = b'--b\r\nContent-Disposition: form-data; name="' + b'\\";' * 2_600 + b"\r\n\r\n\r\n"
    body = part * 100
    with wire.connect(server) as raw:
        raw.send(wire.head("POST", "/forms", {"Content-Type": FORM + "b", "Content-Length": len(body)}) + body)
        began = time.monotonic()
        assert server.healthy()
        assert time.monotonic() - began < 1.5
        assert 400 <= raw.read().status < 500


BOMB = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "' + b"x" * 1000 + b'">'
BOMB += b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 50 if n > 1 else b"&a;" * 50) for n in range(1, 8))
BOMB += b"]><Delete><Object><Key>&a7;</Key></Object></Delete>"
OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
OUTSIDE += b"<Delete><Object><Key>&x;</Key></Object></Delete>"


@pytest.mark.parametrize(
    "body", [BOMB, OUTSIDE, b"<a>" * 200_000, b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>"]
)
def test_hostile_xml_is_malformed(server: RunningServer, body: bytes) -> None:
    server.client("s3").create_bucket(Bucket="forms")
    began = time.monotonic()
    headers = wire.signed(server, "s3", "POST", "/forms?delete", body)
    answered = wire.ask(server, wire.head("POST", "/forms?delete", headers) + body)
    assert (answered.status, b"root:" in answered.body) == (400, False), answered.body
    assert time.monotonic() - began < 2


def test_deep_json_is_refused(server: RunningServer) -> None:
    for body in (b"[" * 200_000, b'{"a":' * 200_000, b'{"NameContains":' + b"9" * 100_000 + b"}"):
        answered = wire.ask(server, wire.aws_call(server, "sagemaker", "ListModels", body))
        assert (answered.status, "errortype" in str(answered.headers)) == (400, True), answered.body


def test_an_upload_has_at_most_ten_thousand_parts(server: RunningServer) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="forms")
    upload = s3.create_multipart_upload(Bucket="forms", Key="k")["UploadId"]
    about = {"Bucket": "forms", "Key": "k", "UploadId": upload}
    for number in (0, 10_001, 2**40):
        with pytest.raises(ClientError, match="InvalidArgument"):
            s3.upload_part(**about, PartNumber=number, Body=b"x")
    parts = [{"PartNumber": 1, "ETag": "x"}] * 10_001
    with pytest.raises(ClientError) as caught:
        s3.complete_multipart_upload(**about, MultipartUpload={"Parts": parts})
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    s3.abort_multipart_upload(**about)
