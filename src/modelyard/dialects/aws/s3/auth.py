"""Who signed an S3 request, and how the signature covers its body, in S3's own error codes.

The checking itself is edge/sigv4.py's; this is what S3 makes of its claims and faults
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html).
"""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.dialects.aws.s3.errors import S3Error
from modelyard.dialects.aws.s3.payload import Framing
from modelyard.edge import sigv4
from modelyard.edge.claims import Fault, Lookup, SignatureRefused, Verified
from modelyard.edge.http import Request

_SERVICES = frozenset(("s3", "s3express"))
_CODES = {
    Fault.UNKNOWN_KEY: "InvalidAccessKeyId",
    Fault.BAD_TOKEN: "InvalidToken",
    Fault.EXPIRED_TOKEN: "ExpiredToken",
    Fault.SKEWED: "RequestTimeTooSkewed",
    Fault.NOT_YET_VALID: "AccessDenied",
    Fault.EXPIRED: "AccessDenied",
    Fault.UNSIGNED_HEADER: "AccessDenied",
    Fault.MISSING_HASH: "InvalidRequest",
    Fault.PAYLOAD_MISMATCH: "XAmzContentSHA256Mismatch",
    Fault.MISMATCH: "SignatureDoesNotMatch",
    Fault.POLICY: "AccessDenied",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """A signature that holds."""

    region: str
    framing: Framing


def is_signed_for_s3(request: Request) -> bool:
    """Whether the request claims to be signed for S3, in whichever form, right or wrong."""
    authorization = request.header("authorization")
    if authorization:
        return "/s3/aws4_request" in authorization
    query = request.raw_query
    if "X-Amz-Credential=" in query:
        return "/s3/aws4_request" in request.query.get("X-Amz-Credential", "")
    return "AWSAccessKeyId=" in query and "Signature=" in query


def authenticate(request: Request, lookup: Lookup, now: float, region: str) -> Caller:
    """The caller; ``region`` is for signatures that state none. Raises S3Error, also for anonymous requests."""
    headers = request.by_name
    try:
        claim = sigv4.parse(request.raw_query, headers)
        if claim is None:
            raise S3Error("AccessDenied")
        if claim.service not in _SERVICES:
            raise S3Error("AuthorizationHeaderMalformed", f"The service {claim.service!r} of the credential is not s3")
        verified = sigv4.verify(claim, request.method, request.raw_path, request.raw_query, headers, None, lookup, now)
    except SignatureRefused as refused:
        raise from_fault(refused, request) from refused
    return Caller(claim.region or region, _framing(verified))


def from_fault(refused: SignatureRefused, request: Request) -> S3Error:
    """What S3 says in place of a refused signature."""
    code = _CODES.get(refused.fault)
    if code is None:
        in_query = "X-Amz-" in request.raw_query or "AWSAccessKeyId" in request.raw_query
        code = "AuthorizationQueryParametersError" if in_query else "AuthorizationHeaderMalformed"
    return S3Error(code, str(refused))


def _framing(verified: Verified) -> Framing:
    payload = verified.payload
    match payload:
        case "UNSIGNED-PAYLOAD" | "":
            return Framing()
        case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
            return Framing(chunked=True, trailers=True)
        case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD":
            return Framing(chunked=True, verifier=sigv4.ChunkVerifier(verified))
        case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
            return Framing(chunked=True, trailers=True, verifier=sigv4.ChunkVerifier(verified))
    if len(payload) == 64 and payload.isascii():
        return Framing(sha256=payload.lower())
    raise S3Error(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=payload[:100],
    )
