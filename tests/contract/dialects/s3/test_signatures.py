"""Who may speak S3 here: signatures in headers, URLs and chunks, and what each does not cover."""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from botocore.exceptions import ClientError

from modelyard.base.clock import SystemClock
from modelyard.core.identity.model import Credential
from tests.contract.dialects.s3.server import KEY, SESSION, S3Server
from tests.contract.dialects.s3.test_buckets import code
from tests.contract.dialects.s3.wire import ChunkSigner, send, signed

BODY = os.urandom(200_000)


def nothing_is_there(s3: Any, bucket: str, key: str = "k") -> bool:
    return s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"] == 0


def test_anonymous_requests_are_refused(server: S3Server, bucket: str) -> None:
    for method, target in (("GET", "/"), ("GET", f"/{bucket}"), ("PUT", f"/{bucket}/k"), ("OPTIONS", f"/{bucket}/k")):
        answer = send(server, method, target, body=b"x" if method == "PUT" else b"")
        assert (answer.status, answer.code) == (403, "AccessDenied")
    assert send(server, "HEAD", f"/{bucket}").status == 403


def test_unknown_keys_wrong_secrets_and_tokens(server: S3Server) -> None:
    for key, expected in (
        (Credential("AKIAUNKNOWN", "s", "x"), "InvalidAccessKeyId"),
        (Credential(KEY.access_key, "wrong", KEY.access_key), "SignatureDoesNotMatch"),
        (Credential(SESSION.access_key, SESSION.secret, "x", "wrong token"), "InvalidToken"),
        (Credential(SESSION.access_key, SESSION.secret, "x"), "InvalidToken"),
    ):
        with pytest.raises(ClientError) as caught:
            server.client(key=key).list_buckets()
        assert code(caught)[0] == expected


def test_a_session_may_do_what_a_key_may(server: S3Server, bucket: str) -> None:
    s3 = server.client(key=SESSION)
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert requests.get(url, timeout=10).content == b"1"


@pytest.mark.parametrize("body", [b"small", BODY, BODY * 20])
def test_a_body_that_was_not_signed_is_refused(server: S3Server, s3: Any, bucket: str, body: bytes) -> None:
    before = len(server.blob_files())
    headers = signed(server, "PUT", f"/{bucket}/k", hashlib.sha256(body).hexdigest())
    changed = body[:-1] + bytes([body[-1] ^ 1])
    answer = send(server, "PUT", f"/{bucket}/k", headers, changed)
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    assert nothing_is_there(s3, bucket)
    assert len(server.blob_files()) == before
    assert send(server, "PUT", f"/{bucket}/k", headers, body).status == 200


def test_documents_are_under_the_signature_too(server: S3Server, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    document = b"<Delete><Object><Key>a</Key></Object></Delete>"
    headers = signed(server, "POST", f"/{bucket}?delete", hashlib.sha256(document).hexdigest())
    answer = send(server, "POST", f"/{bucket}?delete", headers, document.replace(b"a<", b"k<"))
    assert answer.code == "XAmzContentSHA256Mismatch"
    assert not nothing_is_there(s3, bucket)


def test_another_service_s_signature_is_refused(server: S3Server) -> None:
    headers = signed(server, "GET", "/", "UNSIGNED-PAYLOAD")
    headers["Authorization"] = headers["Authorization"].replace("/s3/", "/sts/")
    assert send(server, "GET", "/", headers).status == 400


def test_what_a_payload_hash_may_be(server: S3Server, bucket: str) -> None:
    for payload, status in (("UNSIGNED-PAYLOAD", 200), ("nonsense", 400)):
        headers = signed(server, "PUT", f"/{bucket}/k", payload)
        assert send(server, "PUT", f"/{bucket}/k", headers, b"x").status == status


def chunked(
    server: S3Server, bucket: str, body: bytes, payload: str, size: int = 65_536, trailer: str = "", **extra: str
) -> tuple[dict[str, str], bytes]:
    """Headers and a well-formed aws-chunked body."""
    headers = {"X-Amz-Decoded-Content-Length": str(len(body)), "Content-Encoding": "aws-chunked,gzip", **extra}
    if trailer:
        headers["X-Amz-Trailer"] = trailer.partition(":")[0]
    headers = signed(server, "PUT", f"/{bucket}/k", payload, headers)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    lines = f"{trailer}\n".encode() if trailer else b""
    if "HMAC" not in payload:
        raw = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
        return headers, raw + b"0\r\n" + lines.replace(b"\n", b"\r\n") + b"\r\n"
    signer = ChunkSigner(headers)
    raw = b"".join(signer.chunk(piece) for piece in [*pieces, b""])
    return headers, raw + (signer.trailers(lines) if trailer else b"\r\n")


CRC = f"x-amz-checksum-crc32:{base64.b64encode(zlib.crc32(BODY).to_bytes(4)).decode()}"
FORMS = [
    ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", ""),
    ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", CRC),
    ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", CRC),
    ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", ""),
]


@pytest.mark.parametrize(("payload", "trailer"), FORMS, ids=["signed", "signed-trailer", "trailer", "plain"])
@pytest.mark.parametrize("size", [7001, 65_536, 1 << 20])
def test_chunked_bodies(server: S3Server, s3: Any, bucket: str, payload: str, trailer: str, size: int) -> None:
    headers, raw = chunked(server, bucket, BODY, payload, size, trailer)
    answer = send(server, "PUT", f"/{bucket}/k", headers, raw)
    assert answer.status == 200, answer.body
    found = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert found["Body"].read() == BODY
    assert found["ContentEncoding"] == "gzip"
    assert found.get("ChecksumCRC32") == (trailer.partition(":")[2] or None)


@pytest.mark.parametrize(("payload", "trailer"), FORMS, ids=["signed", "signed-trailer", "trailer", "plain"])
@pytest.mark.parametrize("repeat", [1, 16])
def test_tampered_chunks_are_refused(
    server: S3Server, s3: Any, bucket: str, payload: str, trailer: str, repeat: int
) -> None:
    before = len(server.blob_files())
    body = BODY * repeat
    if trailer:
        trailer = f"x-amz-checksum-crc32:{base64.b64encode(zlib.crc32(body).to_bytes(4)).decode()}"
    headers, raw = chunked(server, bucket, body, payload, 65_536, trailer)
    changed = bytearray(raw)
    changed[100_000] ^= 1
    bad = [raw[:-10_000], raw[: len(raw) // 2] + b"\r\n0\r\n\r\n"]
    if trailer or "HMAC" in payload:
        bad.append(bytes(changed))
    if trailer:
        bad.append(raw.replace(b"x-amz-checksum-crc32:", b"x-amz-checksum-crc32:AAAA"))
    for sent in bad:
        answer = send(server, "PUT", f"/{bucket}/k", headers, sent)
        assert answer.status in (400, 403), answer.body
        assert nothing_is_there(s3, bucket)
    assert len(server.blob_files()) == before


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"xyz\r\n",
        b"-1\r\n",
        b"5\nhello",
        b"5\r\nhelloworld\r\n",
        b"5;" + b"x" * 5000,
        b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
    ],
)
def test_malformed_chunks_are_refused(server: S3Server, s3: Any, bucket: str, raw: bytes) -> None:
    stated = {"X-Amz-Decoded-Content-Length": "5"}
    headers = signed(server, "PUT", f"/{bucket}/k", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", stated)
    assert send(server, "PUT", f"/{bucket}/k", headers, raw).status == 400
    assert nothing_is_there(s3, bucket)


def test_the_decoded_length_is_needed_and_kept(server: S3Server, s3: Any, bucket: str) -> None:
    payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    headers = signed(server, "PUT", f"/{bucket}/k", payload)
    assert send(server, "PUT", f"/{bucket}/k", headers, b"0\r\n\r\n").status == 411
    for stated in ("4", "6"):
        headers = signed(server, "PUT", f"/{bucket}/k", payload, {"X-Amz-Decoded-Content-Length": stated})
        assert send(server, "PUT", f"/{bucket}/k", headers, b"5\r\nhello\r\n0\r\n\r\n").status == 400
    assert nothing_is_there(s3, bucket)


def test_presigned_urls(server: S3Server, bucket: str) -> None:
    for region, version in (("us-east-1", "AWSAccessKeyId"), ("eu-central-1", "X-Amz-Signature")):
        s3 = server.client(region)
        key = {"Bucket": bucket, "Key": "ä b/c+d"}
        put = s3.generate_presigned_url("put_object", Params=key)
        assert version in put
        assert requests.put(put, data=b"by url", timeout=10).status_code == 200
        get = s3.generate_presigned_url("get_object", Params={**key, "ResponseContentType": "x/y"})
        answer = requests.get(get, timeout=10)
        assert (answer.content, answer.headers["content-type"]) == (b"by url", "x/y")
        assert requests.get(get, headers={"Range": "bytes=0-1"}, timeout=10).content == b"by"
        head = s3.generate_presigned_url("head_object", Params=key)
        assert requests.head(head, timeout=10).headers["content-length"] == "6"
        for wrong in (get.replace("c%2Bd", "other"), get[:-1] + ("0" if get[-1] != "0" else "1")):
            assert requests.get(wrong, timeout=10).status_code == 403
        assert requests.put(get, data=b"x", timeout=10).status_code == 403


class Later(SystemClock):
    """The machine's clock, moved."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


def test_signatures_end_with_time(tmp_path: Path) -> None:
    clock = Later()
    with S3Server(tmp_path, clock=clock) as server:
        for region in ("us-east-1", "eu-central-1"):
            s3 = server.client(region)
            if region == "us-east-1":
                s3.create_bucket(Bucket="data")
                s3.put_object(Bucket="data", Key="k", Body=b"1")
            url = s3.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "k"}, ExpiresIn=60)
            for ahead, status in ((0, 200), (50, 200), (62, 403)):
                clock.ahead = ahead
                assert requests.get(url, timeout=10).status_code == status
            clock.ahead = 0
        for ahead in (-25 * 60, 25 * 60):
            clock.ahead = ahead
            with pytest.raises(ClientError) as caught:
                s3.list_objects_v2(Bucket="data")
            assert code(caught) == ("RequestTimeTooSkewed", 403)


def test_version_2_is_taken_for_nothing_else(server: S3Server, bucket: str) -> None:
    answer = send(server, "GET", f"/{bucket}", {"Authorization": f"AWS {KEY.access_key}:{'A' * 28}"})
    assert answer.status in (400, 403)
    s3 = server.client()
    url = s3.generate_presigned_url("delete_object", Params={"Bucket": bucket, "Key": "k"})
    assert requests.delete(url, timeout=10).status_code in (400, 403)


def test_keys_that_are_no_utf_8(server: S3Server, bucket: str) -> None:
    target = f"/{bucket}/%ff%fe"
    answer = send(server, "PUT", target, signed(server, "PUT", target, "UNSIGNED-PAYLOAD"), b"x")
    assert (answer.status, answer.code) == (400, "InvalidURI")


def test_xml_with_a_document_type_is_refused(server: S3Server, bucket: str) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><Delete><Object><Key>&a;</Key></Object></Delete>'
    for body in (bomb, bomb.decode().encode("utf-16"), b"<Delete>", b"", b"<Other/>", b"<a>" * 1000):
        target = f"/{bucket}?delete"
        answer = send(server, "POST", target, signed(server, "POST", target, "UNSIGNED-PAYLOAD"), body)
        assert (answer.status, answer.code) == (400, "MalformedXML")


def test_an_answer_s_text_is_escaped(server: S3Server, bucket: str) -> None:
    target = f"/{bucket}/{quote('<&>')}"
    answer = send(server, "GET", target, signed(server, "GET", target, "UNSIGNED-PAYLOAD"))
    assert b"<Key>&lt;&amp;&gt;</Key>" in answer.body


def test_methods_that_s3_does_not_know(server: S3Server, bucket: str) -> None:
    for method, target in (("PATCH", f"/{bucket}/k"), ("POST", "/"), ("POST", f"/{bucket}/k")):
        answer = send(server, method, target, signed(server, method, target, "UNSIGNED-PAYLOAD"))
        assert (answer.status, answer.code) == (405, "MethodNotAllowed")
