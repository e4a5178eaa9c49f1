"""Signature Version 4: whether a request was signed by who it says, whole and lately.

Follows https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html and, for chunked bodies,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html. S3 neither normalises nor encodes the path a
second time. Pure functions: keys are looked up by a callable, the time is handed in. Headers come decoded as latin-1,
names in lower case, repeated ones joined by commas. Refuses to know wires and who may do what.
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from time import strftime
from urllib.parse import parse_qsl, quote, unquote, unquote_plus

from modelyard.edge import sigv2
from modelyard.edge.claims import (
    Claim,
    Fault,
    Lookup,
    SignatureRefused,
    Verified,
    check_token,
    credential_for,
    mismatch,
)

__all__ = ["ChunkVerifier", "Claim", "Fault", "SignatureRefused", "Verified", "parse", "verify"]

SKEW = 20 * 60.0
LONGEST_PRESIGN = 7 * 86400
ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

_Stated = tuple[str, str, str, str, tuple[str, ...]]
_HASH = re.compile(r"[0-9a-f]{64}")
_HEADER = re.compile(rf"{ALGORITHM}\s+Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=")
_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")


def parse(raw_query: str, headers: Mapping[str, str]) -> Claim | None:
    """The signature that a request states; None for an anonymous one (a bearer token is not a signature).

    Raises SignatureRefused (malformed) for a signature that cannot be read.
    """
    authorization = headers.get("authorization", "")
    if authorization.startswith("AWS4"):
        return _from_header(authorization, headers)
    if "Signature=" not in raw_query and "X-Amz-" not in raw_query:
        return None
    query = dict(reversed(parse_qsl(raw_query, keep_blank_values=True)))
    if "X-Amz-Signature" in query or "X-Amz-Algorithm" in query:
        return _from_query(query)
    return sigv2.claim_of(query)


def is_stated(raw_query: str, headers: Mapping[str, str]) -> bool:
    """Whether ``parse`` would find a signature. Raises as it does."""
    authorization = headers.get("authorization", "")
    if authorization.startswith("AWS4"):
        _header_parts(authorization, headers)
        return True
    return parse(raw_query, headers) is not None


def verify(
    claim: Claim,
    method: str,
    raw_path: str,
    raw_query: str,
    headers: Mapping[str, str],
    payload_hash: str | None,
    lookup: Lookup,
    now: float,
) -> Verified:
    """What holds once the claim is checked against the request as it came. Raises SignatureRefused.

    ``payload_hash`` is the SHA-256 in hex of the body that was read. None (S3): the caller compares the body
    with ``Verified.payload`` as it streams. The caller also says which service a request may be signed for.
    """
    if claim.form == "query-v2":
        return sigv2.verify(claim, method, raw_path, raw_query, headers, lookup, now)
    _check_time(claim, now)
    credential = credential_for(claim.access_key, lookup, now)
    _check_headers(claim, headers)
    payload = _payload(claim, raw_query, headers, payload_hash)
    key = signing_key(credential.secret, claim.date, claim.region, claim.service)
    signed = _canonical_headers(claim, headers) + payload
    for path, query in _canonical_targets(claim, raw_path, raw_query):
        text = f"{method}\n{path}\n{query}\n{signed}"
        if hmac.compare_digest(_sign(key, claim, text.encode("latin-1")), claim.signature):
            check_token(credential, claim.token)
            return Verified(credential, claim, payload, key)
    raise mismatch()


class ChunkVerifier:
    """The chain of signatures over an aws-chunked body: each chunk's covers the one before it.

    Feed a chunk's bytes to ``update``, then its stated signature to ``end_chunk`` (the empty last chunk too), then
    the trailers as ``name:value\\n`` lines to ``end_trailers``. Raises SignatureRefused at the first that does not fit.
    """

    def __init__(self, verified: Verified) -> None:
        claim = verified.claim
        self._key = verified.signing_key
        self._before = claim.signature
        self._scope = f"{claim.stamp}\n{claim.scope}\n"
        self._hash = hashlib.sha256()

    def update(self, data: bytes | memoryview) -> None:
        self._hash.update(data)

    def end_chunk(self, signature: str) -> None:
        text = f"{ALGORITHM}-PAYLOAD\n{self._scope}{self._before}\n{EMPTY_SHA256}\n{self._hash.hexdigest()}"
        self._hash = hashlib.sha256()
        self._compare(text, signature)

    def end_trailers(self, trailers: bytes, signature: str) -> None:
        self._compare(
            f"{ALGORITHM}-TRAILER\n{self._scope}{self._before}\n{hashlib.sha256(trailers).hexdigest()}", signature
        )

    def _compare(self, text: str, signature: str) -> None:
        expected = hmac.digest(self._key, text.encode(), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise SignatureRefused(Fault.MISMATCH, "The signature of a chunk of the body does not match its bytes.")
        self._before = expected


@lru_cache(maxsize=4096)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key that signs for one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _from_header(authorization: str, headers: Mapping[str, str]) -> Claim:
    stated, signature, time, stamp = _header_parts(authorization, headers)
    access_key, date, region, service, signed_headers = stated
    return Claim(
        form="header",
        access_key=access_key,
        signature=signature,
        stamp=stamp,
        time=time,
        date=date,
        region=region,
        service=service,
        signed_headers=signed_headers,
        token=headers.get("x-amz-security-token"),
    )


def _header_parts(authorization: str, headers: Mapping[str, str]) -> tuple[_Stated, str, float, str]:
    """What stands before the signature, the signature, the time of signing and how that was written."""
    authorization = authorization.rstrip()
    signature = authorization[-64:]
    if not _HASH.fullmatch(signature):
        raise _unreadable()
    stated = _stated(authorization[:-64])
    stamp = headers.get("x-amz-date")
    if stamp is None:
        return stated, signature, *_dated(headers.get("date", ""))
    return stated, signature, _stamp_time(stamp), stamp


@lru_cache(maxsize=256)
def _stated(text: str) -> _Stated:
    """Access key, date, region, service and signed headers of an Authorization header up to its signature: what a
    client writes again and again. Raises SignatureRefused."""
    found = _HEADER.fullmatch(text)
    if found is None:
        raise _unreadable()
    access_key, date, region, service = split_credential(found[1])
    return access_key, date, region, service, tuple(found[2].split(";"))


def _unreadable() -> SignatureRefused:
    return SignatureRefused(Fault.MALFORMED, "The Authorization header is no well-formed AWS4-HMAC-SHA256 signature.")


def _from_query(query: Mapping[str, str]) -> Claim:
    names = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
    values = [query.get(f"X-Amz-{name}", "") for name in names]
    algorithm, credential, stamp, expires, signed, signature = values
    if algorithm != ALGORITHM or not _HASH.fullmatch(signature):
        raise SignatureRefused(Fault.MALFORMED, "The X-Amz-* parameters are no well-formed AWS4-HMAC-SHA256 signature.")
    if not (expires.isascii() and expires.isdigit() and 0 < len(expires) < 8 and int(expires) <= LONGEST_PRESIGN):
        raise SignatureRefused(Fault.MALFORMED, "X-Amz-Expires must be a number of seconds of at most a week.")
    access_key, date, region, service = split_credential(credential)
    return Claim(
        form="query",
        access_key=access_key,
        signature=signature,
        stamp=stamp,
        time=_stamp_time(stamp),
        date=date,
        region=region,
        service=service,
        signed_headers=tuple(signed.split(";")),
        expires=float(expires),
        token=query.get("X-Amz-Security-Token"),
    )


def split_credential(text: str) -> list[str]:
    """Access key, date, region and service of a credential scope. Raises SignatureRefused."""
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or parts.pop() != "aws4_request" or not all(parts) or not text.isascii():
        raise SignatureRefused(Fault.MALFORMED, "The credential must be KEY/YYYYMMDD/REGION/SERVICE/aws4_request.")
    return parts


@lru_cache(maxsize=64)
def _stamp_time(stamp: str) -> float:
    found = _STAMP.fullmatch(stamp)
    if found is None or not stamp.isascii():
        raise SignatureRefused(Fault.MALFORMED, "The time of signing must be written as YYYYMMDDTHHMMSSZ.")
    year, month, day, hour, minute, second = map(int, found.groups())
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        raise SignatureRefused(Fault.MALFORMED, f"{stamp} is no time.")
    return float(calendar.timegm((year, month, day, hour, minute, second)))


def _dated(date: str) -> tuple[float, str]:
    """A ``Date`` header as epoch seconds and as the signature writes it."""
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        raise SignatureRefused(Fault.MALFORMED, "A signed request needs an X-Amz-Date or a Date header.") from None
    utc = moment.utctimetuple()
    return float(calendar.timegm(utc)), strftime("%Y%m%dT%H%M%SZ", utc)


def _check_time(claim: Claim, now: float) -> None:
    if claim.date != claim.stamp[:8]:
        raise SignatureRefused(Fault.BAD_SCOPE, "The credential's date is not the day of signing.")
    if claim.expires is None:
        if abs(claim.time - now) > SKEW:
            raise SignatureRefused(
                Fault.SKEWED, "The difference between the request time and the current time is too large."
            )
    elif claim.time - now > SKEW:
        raise SignatureRefused(Fault.NOT_YET_VALID, "The request is not yet valid.")
    elif now > claim.time + claim.expires:
        raise SignatureRefused(Fault.EXPIRED, "The request has expired.")


def _check_headers(claim: Claim, headers: Mapping[str, str]) -> None:
    signed = claim.signed_headers
    if "host" not in signed:
        raise SignatureRefused(Fault.UNSIGNED_HEADER, "The header 'host' must be signed.")
    for name in headers:
        if name.startswith("x-amz-") and name not in signed:
            raise SignatureRefused(Fault.UNSIGNED_HEADER, f"The header {name!r} is present but not signed.")


def _payload(claim: Claim, raw_query: str, headers: Mapping[str, str], payload_hash: str | None) -> str:
    """What the canonical request says of the body."""
    stated = headers.get("x-amz-content-sha256")
    if payload_hash is not None:
        if stated is not None and not hmac.compare_digest(stated.encode("utf-8", "replace"), payload_hash.encode()):
            raise SignatureRefused(Fault.PAYLOAD_MISMATCH, "x-amz-content-sha256 is not the hash of the body.")
        return payload_hash
    if stated is None and claim.form == "query":
        query = dict(parse_qsl(raw_query)) if "X-Amz-Content-Sha256" in raw_query else {}
        stated = query.get("X-Amz-Content-Sha256", UNSIGNED)
    if stated is None:
        raise SignatureRefused(Fault.MISSING_HASH, "Missing required header for this request: x-amz-content-sha256")
    return stated


def _canonical_headers(claim: Claim, headers: Mapping[str, str]) -> str:
    names = claim.signed_headers
    lines = [f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names]
    return f"{''.join(lines)}\n{';'.join(names)}\n"


def _canonical_targets(claim: Claim, raw_path: str, raw_query: str) -> Iterator[tuple[str, str]]:
    """Path and query as signers write them: first as sent, then encoded again in the one canonical way (some
    clients sign that and send characters in the clear). Both mean what the request means here."""
    pairs = [pair.partition("=")[::2] for pair in raw_query.split("&")] if raw_query else []
    if claim.form == "query":
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    path = raw_path if claim.service == "s3" else _encoded(_normalised(raw_path))
    query = "&".join([f"{name}={value}" for name, value in sorted(pairs)])
    yield path, query
    again = (
        quote(unquote(raw_path), safe="/~") if claim.service == "s3" else path,
        "&".join([f"{name}={value}" for name, value in sorted(map(_recoded, pairs))]),
    )
    if again != (path, query):
        yield again


def _recoded(pair: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(quote(unquote_plus(part), safe="-_.~") for part in pair)


def _normalised(path: str) -> str:
    """Without doubled slashes. A path with ``.`` or ``..`` in it is refused rather than resolved."""
    if "//" not in path and "/." not in path:
        return path or "/"
    parts = [part for part in path.split("/") if part]
    if "." in parts or ".." in parts:
        raise SignatureRefused(Fault.MALFORMED, "A path with '.' or '..' in it cannot be signed.")
    return f"/{'/'.join(parts)}{'/' if parts and path.endswith('/') else ''}"


@lru_cache(maxsize=1024)
def _encoded(path: str) -> str:
    return quote(path.encode("latin-1"), safe="/~")


def _sign(key: bytes, claim: Claim, canonical: bytes) -> str:
    text = f"{ALGORITHM}\n{claim.stamp}\n{claim.scope}\n{hashlib.sha256(canonical).hexdigest()}"
    mac = _keyed(key).copy()
    mac.update(text.encode())
    return mac.hexdigest()


@lru_cache(maxsize=1024)
def _keyed(key: bytes) -> hmac.HMAC:
    """To be copied: setting up the key costs more than the rest of a signature."""
    return hmac.new(key, digestmod="sha256")
