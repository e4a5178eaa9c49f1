"""Signature Version 2 of S3's presigned URLs, the form that boto3 makes in us-east-1 and us-west-2 as it comes.

Follows https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html (query string alternative). It is
accepted for GET, HEAD and PUT with an expiry and for nothing else. Refuses to know other services and headers'
``Authorization: AWS``.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

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

_METHODS = frozenset({"GET", "HEAD", "PUT"})
# fmt: off
_SIGNED_PARAMETERS = frozenset(
    [
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location",
        "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
        "restore", "select", "select-type", "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId",
        "versioning", "versions", "website", "response-cache-control", "response-content-disposition",
        "response-content-encoding", "response-content-language", "response-content-type", "response-expires",
    ]
)
# fmt: on


def claim_of(query: Mapping[str, str]) -> Claim | None:
    """The claim in decoded query parameters; None when they state no V2 signature. Raises SignatureRefused."""
    if not ("AWSAccessKeyId" in query and "Signature" in query):
        return None
    expires = query.get("Expires", "")
    if not (expires.isascii() and expires.isdigit() and len(expires) < 12):
        raise SignatureRefused(Fault.MALFORMED, "Expires must be a time in seconds since 1970.")
    return Claim(
        form="query-v2",
        access_key=query["AWSAccessKeyId"],
        signature=query["Signature"],
        stamp=expires,
        time=float(expires),
        service="s3",
        expires=0.0,
        token=query.get("x-amz-security-token"),
    )


def verify(
    claim: Claim,
    method: str,
    raw_path: str,
    raw_query: str,
    headers: Mapping[str, str],
    lookup: Lookup,
    now: float,
) -> Verified:
    """What holds once the claim is checked; the body is not covered. Raises SignatureRefused."""
    if method not in _METHODS:
        raise SignatureRefused(Fault.BAD_SCOPE, f"A version 2 signature is not accepted for {method}; use version 4.")
    if now > claim.time:
        raise SignatureRefused(Fault.EXPIRED, "The request has expired.")
    credential = credential_for(claim.access_key, lookup, now)
    text = _text(claim, method, raw_path, raw_query, headers)
    if not hmac.compare_digest(sign(credential.secret, text), claim.signature.encode("utf-8", "replace")):
        raise mismatch()
    check_token(credential, claim.token)
    return Verified(credential, claim, "UNSIGNED-PAYLOAD")


def sign(secret: str, text: str) -> bytes:
    """HMAC-SHA1 in base64."""
    return base64.b64encode(hmac.digest(secret.encode(), text.encode("latin-1"), "sha1"))


def _text(claim: Claim, method: str, raw_path: str, raw_query: str, headers: Mapping[str, str]) -> str:
    query = dict(reversed(parse_qsl(raw_query, keep_blank_values=True)))
    # Signers put the headers that they sign into the query too; what the request really carries counts.
    stated = {name: value for name, value in query.items() if name.startswith(("x-amz-", "content-"))}
    stated.update({name: value for name, value in headers.items() if name in stated or name.startswith("x-amz-")})
    for name in ("content-md5", "content-type"):
        stated[name] = headers.get(name, stated.get(name, ""))
    amz = "".join(f"{name}:{stated[name].strip()}\n" for name in sorted(stated) if name.startswith("x-amz-"))
    plain = f"{method}\n{stated['content-md5'].strip()}\n{stated['content-type'].strip()}\n{claim.stamp}\n"
    return plain + amz + _resource(raw_path, raw_query)


def _resource(raw_path: str, raw_query: str) -> str:
    found: list[tuple[str, ...]] = []
    for pair in raw_query.split("&"):
        name, equals, value = pair.partition("=")
        if name in _SIGNED_PARAMETERS:
            found.append((name, unquote_plus(value)) if equals else (name,))
    found.sort(key=lambda parts: parts[0])
    return raw_path + ("?" + "&".join("=".join(parts) for parts in found) if found else "")
