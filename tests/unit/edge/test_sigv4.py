"""Signatures as botocore makes them hold; anything changed since does not."""

import hashlib
import hmac
import time
from urllib.parse import urlsplit

import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from modelyard.core.identity.model import Credential
from modelyard.edge import sigv4
from modelyard.edge.sigv4 import Fault, SignatureRefused

KEY = Credential("AKIAEXAMPLE", "secret/with+odd=characters", "AKIAEXAMPLE")
SESSION = Credential("ASIAEXAMPLE", "sessionsecret", "AKIAEXAMPLE", session_token="tok/en==", expires=time.time() + 900)
NOW = time.time()


def lookup(access_key):
    return {KEY.access_key: KEY, SESSION.access_key: SESSION}.get(access_key)


def signed(signer, method, url, headers=None, body=b"", key=KEY, service="sagemaker", **options):
    """The request as its parts after botocore has signed it."""
    request = AWSRequest(method, url, headers=headers or {}, data=body)
    credentials = Credentials(key.access_key, key.secret, key.session_token)
    if signer is HmacV1QueryAuth:
        signer(credentials, **options).add_auth(request)
    else:
        signer(credentials, service, "eu-west-1", **options).add_auth(request)
    split = urlsplit(request.url)
    names = {name.lower(): value for name, value in request.headers.items()}
    if signer is HmacV1QueryAuth:
        names = {name: value for name, value in names.items() if name == "content-type"}
    names["host"] = split.netloc
    return {"method": method, "raw_path": split.path, "raw_query": split.query, "headers": names, "body": body}


def check(request, now=None, **changed):
    request = {**request, **changed}
    claim = sigv4.parse(request["raw_query"], request["headers"])
    if claim is None:
        return None
    body = request.pop("body")
    payload_hash = None if claim.service == "s3" else hashlib.sha256(body).hexdigest()
    return sigv4.verify(claim, **request, payload_hash=payload_hash, lookup=lookup, now=now or time.time())


def fault(request, **changed):
    with pytest.raises(SignatureRefused) as caught:
        check(request, **changed)
    return caught.value.fault


ODD_PATHS = ["/", "/bucket/key", "/bucket/a%20b%2Bc", "/b/a//b/./c/../d", "/b/%C3%A4~-_.%21%27%28%29*", "/b/trailing/"]


@pytest.mark.parametrize("path", ODD_PATHS)
@pytest.mark.parametrize("query", ["", "?list-type=2&prefix=a%2Fb&delimiter=%2F", "?uploads", "?b=2&a=1&a=0"])
def test_s3_headers_hold_for_the_path_as_sent(path, query):
    request = signed(S3SigV4Auth, "PUT", f"http://127.0.0.1:8080{path}{query}", body=b"abc", service="s3")
    verified = check(request)
    assert verified.payload == hashlib.sha256(b"abc").hexdigest()
    assert verified.credential == KEY
    assert (verified.claim.service, verified.claim.region) == ("s3", "eu-west-1")


@pytest.mark.parametrize(
    "path", ["/", "", "/endpoints/a-b/invocations", "/x/%C3%A4%20b:c", "/a//b/", "/tags/arn%3Aaws"]
)
def test_other_services_encode_the_path_again(path):
    request = signed(SigV4Auth, "POST", f"http://127.0.0.1:8080{path}?x=1%202", {"Content-Type": "text/csv"}, b"1,2")
    assert check(request).credential == KEY


def test_dot_segments_are_refused_outside_s3():
    request = signed(SigV4Auth, "POST", "http://h/a/../b")
    assert fault(request) is Fault.MALFORMED


def test_a_client_that_signs_the_canonical_form_and_sends_it_in_the_clear():
    request = signed(S3SigV4Auth, "GET", "http://h/b/key%3D1%2Btwo?prefix=a%2Fb&delimiter=%2F", service="s3")
    assert check(request, raw_path="/b/key=1%2btwo", raw_query="prefix=a/b&delimiter=/")
    assert fault(request, raw_path="/b/key=1+two", raw_query="prefix=a/c&delimiter=/") is Fault.MISMATCH


def test_a_plus_cannot_stand_for_an_encoded_plus():
    request = signed(S3SigV4Auth, "GET", "http://h/b?prefix=a%2Bb", service="s3")
    assert fault(request, raw_query="prefix=a+b") is Fault.MISMATCH


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"raw_path": "/endpoints/b/invocations"},
        {"raw_query": "x=2"},
        {"raw_query": ""},
        {"body": b"1,3"},
    ],
)
def test_what_was_changed_since_signing_is_refused(change):
    request = signed(SigV4Auth, "POST", "http://h/endpoints/a/invocations?x=1", body=b"1,2")
    assert check(request)
    assert fault(request, **change) is Fault.MISMATCH


@pytest.mark.parametrize("name", ["host", "x-amz-target", "content-type"])
def test_a_changed_signed_header_is_refused(name):
    request = signed(SigV4Auth, "POST", "http://h/", {"X-Amz-Target": "SageMaker.ListModels", "Content-Type": "a"})
    assert fault(request, headers={**request["headers"], name: "other"}) is Fault.MISMATCH


def test_unsigned_amz_headers_are_refused():
    request = signed(SigV4Auth, "POST", "http://h/")
    assert fault(request, headers={**request["headers"], "x-amz-target": "X"}) is Fault.UNSIGNED_HEADER
    url = signed(S3SigV4QueryAuth, "PUT", "http://h/b/k", service="s3")
    assert fault(url, headers={**url["headers"], "x-amz-acl": "public-read"}) is Fault.UNSIGNED_HEADER


def test_the_host_must_be_signed():
    request = signed(SigV4Auth, "POST", "http://h/")
    loose = request["headers"]["Authorization".lower()].replace("SignedHeaders=host;", "SignedHeaders=")
    assert fault(request, headers={**request["headers"], "authorization": loose}) is Fault.UNSIGNED_HEADER


@pytest.mark.parametrize("minutes", [-21, 21])
def test_clocks_may_differ_by_twenty_minutes(minutes):
    request = signed(SigV4Auth, "POST", "http://h/")
    assert fault(request, now=time.time() + minutes * 60) is Fault.SKEWED
    assert check(request, now=time.time() + (minutes - minutes // 20) * 57)


def test_an_unknown_key_is_refused():
    request = signed(SigV4Auth, "POST", "http://h/", key=Credential("AKIAOTHER", "x", "AKIAOTHER"))
    assert fault(request) is Fault.UNKNOWN_KEY


def test_a_wrong_secret_is_a_mismatch():
    request = signed(SigV4Auth, "POST", "http://h/", key=Credential(KEY.access_key, "x", KEY.access_key))
    assert fault(request) is Fault.MISMATCH


@pytest.mark.parametrize("signer", [SigV4Auth, S3SigV4Auth, SigV4QueryAuth, S3SigV4QueryAuth, HmacV1QueryAuth])
def test_session_keys_need_their_token(signer):
    service = "sagemaker" if signer in (SigV4Auth, SigV4QueryAuth) else "s3"
    good = signed(signer, "GET", "http://h/b/k", key=SESSION, service=service)
    assert check(good).credential == SESSION
    assert fault(good, now=SESSION.expires + 1) in (Fault.EXPIRED_TOKEN, Fault.SKEWED, Fault.EXPIRED)
    tokenless = Credential(SESSION.access_key, SESSION.secret, "x")
    assert fault(signed(signer, "GET", "http://h/b/k", key=tokenless, service=service)) is Fault.BAD_TOKEN
    wrong = Credential(SESSION.access_key, SESSION.secret, "x", session_token="other")
    assert fault(signed(signer, "GET", "http://h/b/k", key=wrong, service=service)) is Fault.BAD_TOKEN
    stray = Credential(KEY.access_key, KEY.secret, "x", session_token="other")
    assert fault(signed(signer, "GET", "http://h/b/k", key=stray, service=service)) is Fault.BAD_TOKEN


@pytest.mark.parametrize("path", ODD_PATHS)
def test_presigned_urls_hold_until_they_expire(path):
    url = signed(S3SigV4QueryAuth, "GET", f"http://h{path}?versionId=1", service="s3", expires=60)
    assert check(url).payload == "UNSIGNED-PAYLOAD"
    assert fault(url, now=time.time() + 62) is Fault.EXPIRED
    assert fault(url, now=time.time() - 1300) is Fault.NOT_YET_VALID
    assert fault(url, method="PUT") is Fault.MISMATCH
    assert fault(url, raw_query=url["raw_query"].replace("Expires=60", "Expires=90")) is Fault.MISMATCH
    assert fault(url, raw_query=url["raw_query"] + "&response-content-type=x") is Fault.MISMATCH
    assert fault(url, raw_query=url["raw_query"].replace("Expires=60", "Expires=604801")) is Fault.MALFORMED


def test_presigned_urls_of_other_services_cover_an_empty_body():
    url = signed(SigV4QueryAuth, "GET", "http://h/?Action=GetCallerIdentity&Version=2011-06-15", service="sts")
    assert check(url)
    assert fault(url, body=b"x") is Fault.MISMATCH


@pytest.mark.parametrize("path", ODD_PATHS)
def test_version_2_urls_hold_until_they_expire(path):
    url = signed(HmacV1QueryAuth, "GET", f"http://h{path}?response-content-type=text%2Fplain%20x&versionId=1")
    assert check(url).claim.form == "query-v2"
    assert fault(url, now=time.time() + 3602) is Fault.EXPIRED
    assert fault(url, raw_path="/other") is Fault.MISMATCH
    assert fault(url, raw_query=url["raw_query"] + "&uploads") is Fault.MISMATCH
    assert fault(url, headers={**url["headers"], "x-amz-acl": "public"}) is Fault.MISMATCH
    assert fault(url, method="DELETE") is Fault.BAD_SCOPE


def test_version_2_puts_cover_content_type_and_metadata():
    url = signed(HmacV1QueryAuth, "PUT", "http://h/b/k", {"Content-Type": "text/csv", "x-amz-meta-a": "1"})
    headers = {**url["headers"], "x-amz-meta-a": "1"}
    assert check(url, headers=headers)
    assert fault(url, headers={**headers, "content-type": "text/html"}) is Fault.MISMATCH
    assert fault(url, headers={**headers, "x-amz-meta-a": "2"}) is Fault.MISMATCH


def test_a_stated_hash_must_be_the_bodys():
    request = signed(SigV4Auth, "POST", "http://h/", {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}, b"x")
    assert fault(request) is Fault.PAYLOAD_MISMATCH
    bare = signed(SigV4Auth, "GET", "http://h/b", service="s3")
    assert fault(bare) is Fault.MISSING_HASH


def test_a_date_header_may_stand_for_the_stamp():
    request = signed(SigV4Auth, "POST", "http://h/", {"Date": "x"})
    assert "x-amz-date" not in request["headers"]
    assert check(request)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": "AWS4-HMAC-SHA256 nonsense"}, ""),
        ({"authorization": f"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature={'0' * 64}"}, ""),
        (
            {
                "authorization": f"AWS4-HMAC-SHA256 Credential=k/20260101/r/s/aws4_request, SignedHeaders=host, "
                f"Signature={'0' * 64}",
                "x-amz-date": "20261341T000000Z",
            },
            "",
        ),
        ({}, "X-Amz-Algorithm=AWS4-HMAC-SHA256"),
        ({}, "AWSAccessKeyId=a&Signature=b&Expires=x"),
    ],
)
def test_signatures_that_cannot_be_read_are_malformed(headers, query):
    with pytest.raises(SignatureRefused) as caught:
        sigv4.parse(query, headers)
    assert caught.value.fault is Fault.MALFORMED


def test_the_date_of_the_scope_is_the_day_of_signing():
    request = signed(SigV4Auth, "POST", "http://h/")
    today = request["headers"]["x-amz-date"][:8]
    moved = request["headers"]["authorization"].replace(f"/{today}/", "/20200101/")
    assert fault(request, headers={**request["headers"], "authorization": moved}) is Fault.BAD_SCOPE


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer my_token"}, {"authorization": "Basic xx"}])
def test_other_requests_are_anonymous(headers):
    assert sigv4.parse("a=b&X=1", headers) is None


def streaming(trailer=False):
    payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else "")

    class Signer(S3SigV4Auth):
        def payload(self, request):
            return payload

    return check(signed(Signer, "PUT", "http://h/b/k", service="s3"))


def chain(verified, chunks):
    """Chunk signatures as the published page computes them, apart from the code under test."""
    claim, before = verified.claim, verified.claim.signature
    key = ("AWS4" + KEY.secret).encode()
    for part in (claim.date, claim.region, claim.service, "aws4_request"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    for kind, chunk in chunks:
        empty = f"{hashlib.sha256(b'').hexdigest()}\n" if kind == "PAYLOAD" else ""
        head = f"AWS4-HMAC-SHA256-{kind}\n{claim.stamp}\n{claim.scope}\n{before}\n"
        text = head + empty + hashlib.sha256(chunk).hexdigest()
        before = hmac.new(key, text.encode(), "sha256").hexdigest()
        yield before


def test_chunks_and_trailers_are_chained():
    verified = streaming(trailer=True)
    assert verified.payload == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    trailers = b"x-amz-checksum-crc32:AAAAAA==\n"
    signatures = list(chain(verified, [("PAYLOAD", b"ab" * 9), ("PAYLOAD", b""), ("TRAILER", trailers)]))
    verifier = sigv4.ChunkVerifier(verified)
    for piece in (b"ab", memoryview(b"ab" * 8)):
        verifier.update(piece)
    verifier.end_chunk(signatures[0])
    verifier.end_chunk(signatures[1])
    verifier.end_trailers(trailers, signatures[2])


def test_a_tampered_chunk_or_trailer_is_refused():
    verified = streaming()
    signatures = list(chain(verified, [("PAYLOAD", b"ab"), ("PAYLOAD", b"")]))
    verifier = sigv4.ChunkVerifier(verified)
    verifier.update(b"ax")
    with pytest.raises(SignatureRefused):
        verifier.end_chunk(signatures[0])
    with pytest.raises(SignatureRefused):
        sigv4.ChunkVerifier(verified).end_chunk(signatures[1])
    with pytest.raises(SignatureRefused):
        sigv4.ChunkVerifier(verified).end_trailers(b"x:y\n", "ä")
