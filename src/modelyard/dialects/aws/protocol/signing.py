"""Who signed a call, and what a service says when nobody did rightly.

Owns the words: services that speak JSON or CBOR use the newer codes, query services the older ones
(https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html). The check itself is edge/sigv4.py.
"""

from __future__ import annotations

import hashlib
import re

from modelyard.base.clock import Clock
from modelyard.dialects.aws.protocol.errors import AwsError
from modelyard.edge import sigv4
from modelyard.edge.claims import Fault, Lookup, SignatureRefused, Verified
from modelyard.edge.http import Request

_SCOPE = re.compile(r"Credential=[^/,\s]*/\d{8}/[^/,\s]+/([^/,\s]+)/aws4_request")
_QUERY_SCOPE = re.compile(r"[^/]*/\d{8}/[^/]+/([^/]+)/aws4_request")

_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details."
)
_UNKNOWN = "The security token included in the request is invalid."

_WORDS: dict[Fault, tuple[str, str, str]] = {
    Fault.MALFORMED: ("IncompleteSignatureException", "IncompleteSignature", ""),
    Fault.UNKNOWN_KEY: ("UnrecognizedClientException", "InvalidClientTokenId", _UNKNOWN),
    Fault.BAD_TOKEN: ("UnrecognizedClientException", "InvalidClientTokenId", _UNKNOWN),
    Fault.EXPIRED_TOKEN: (
        "ExpiredTokenException",
        "ExpiredToken",
        "The security token included in the request is expired",
    ),
    Fault.SKEWED: ("InvalidSignatureException", "SignatureDoesNotMatch", "Signature expired: "),
    Fault.NOT_YET_VALID: ("InvalidSignatureException", "SignatureDoesNotMatch", "Signature not yet current: "),
    Fault.EXPIRED: ("RequestExpired", "RequestExpired", "Request has expired."),
    Fault.MISMATCH: ("InvalidSignatureException", "SignatureDoesNotMatch", _MISMATCH),
}
"""For each fault the newer code, the older code and the usual words; empty words or words that end in a space
go before the check's own. Every other fault is a mismatch."""


def verified(request: Request, body: bytes, lookup: Lookup, clock: Clock, queryish: bool) -> Verified:
    """The signature of a request whose body was read. Raises AwsError in the words of the service."""
    try:
        claim = sigv4.parse(request.raw_query, request.by_name)
        if claim is None:
            message = "Request is missing Authentication Token" if queryish else "Missing Authentication Token"
            code = "MissingAuthenticationToken" if queryish else "MissingAuthenticationTokenException"
            raise AwsError(code, message, 403 if queryish else 400)
        if claim.form == "query-v2":
            raise SignatureRefused(Fault.MALFORMED, "Signature version 2 is not accepted here; sign with version 4.")
        payload = hashlib.sha256(body).hexdigest()
        return sigv4.verify(
            claim, request.method, request.raw_path, request.raw_query, request.by_name, payload, lookup, clock.now()
        )
    except SignatureRefused as refused:
        raise _refusal(refused, queryish) from refused


def scope_error(service: str, queryish: bool) -> AwsError:
    """The answer to a call that was rightly signed, but for another service."""
    message = f"Credential should be scoped to correct service: '{service}'."
    return AwsError("SignatureDoesNotMatch" if queryish else "InvalidSignatureException", message, _status(queryish))


def _refusal(refused: SignatureRefused, queryish: bool) -> AwsError:
    new, old, words = _WORDS.get(refused.fault, _WORDS[Fault.MISMATCH])
    message = f"{words}{refused}" if words.endswith(" ") or not words else words
    return AwsError(old if queryish else new, message, _status(queryish))


def _status(queryish: bool) -> int:
    return 403 if queryish else 400


def scope(request: Request) -> str:
    """The service that the client signed for, unchecked; empty when the request carries no SigV4 signature."""
    found = _SCOPE.search(request.header("authorization"))
    if found is None and "X-Amz-Credential=" in request.raw_query:
        found = _QUERY_SCOPE.fullmatch(request.query.get("X-Amz-Credential", ""))
    return found[1] if found else ""
