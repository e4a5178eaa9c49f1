"""The S3 dialect: which requests are its, and the way from a request to an answer.

Follows https://docs.aws.amazon.com/AmazonS3/latest/API/Welcome.html, path style. The operations register
themselves in call.py.
"""

from __future__ import annotations

import itertools
import secrets
from urllib.parse import unquote_to_bytes

from modelyard.base.clock import Clock
from modelyard.base.errors import ModelyardError
from modelyard.core.artifacts.service import ArtifactService
from modelyard.dialects.aws.s3 import buckets, listing, objects, subresources, uploads
from modelyard.dialects.aws.s3.auth import authenticate, from_fault, is_signed_for_s3
from modelyard.dialects.aws.s3.call import Level, Owner, S3Call, find_operation
from modelyard.dialects.aws.s3.errors import S3Error, from_core
from modelyard.dialects.aws.s3.forms import is_form, post_object
from modelyard.edge.claims import Lookup, SignatureRefused
from modelyard.edge.http import Request, Response

OPERATIONS = (buckets, listing, objects, subresources, uploads)
"""The modules whose operations are registered by being imported."""

_DRAINED = 16 << 20
_OWNER_HEADERS = ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner")


class S3Dialect:
    """Answers S3 requests. ``lookup`` finds the credential of an access key."""

    def __init__(self, artifacts: ArtifactService, lookup: Lookup, clock: Clock, account: str, region: str) -> None:
        self._artifacts = artifacts
        self._lookup = lookup
        self._clock = clock
        self._owner = Owner(account, region)
        # Unlike those of other processes; counting costs less than randomness for each.
        self._requests = itertools.count(secrets.randbits(63))

    def claims(self, request: Request) -> bool:
        """Whether the request is signed for S3 or is an upload form. An unsigned request that nobody else claims may be
        handed to ``handle`` too: it is refused in S3's words."""
        return is_signed_for_s3(request) or (is_form(request) and request.raw_path.strip("/").count("/") == 0)

    async def handle(self, request: Request) -> Response:
        request_id = f"{next(self._requests):016X}"
        try:
            response = await self._answer(request)
        except SignatureRefused as refused:
            response = await self._refusal(request, from_fault(refused, request), request_id)
        except ModelyardError as error:
            response = await self._refusal(request, from_core(error), request_id)
        except S3Error as error:
            response = await self._refusal(request, error, request_id)
        response.headers = (*response.headers, ("x-amz-request-id", request_id))
        return response

    async def _answer(self, request: Request) -> Response:
        bucket, key = _address(request.raw_path)
        now = self._clock.now()
        if is_form(request) and not is_signed_for_s3(request) and bucket and not key:
            return await post_object(request, self._artifacts, bucket, self._lookup, now)
        caller = authenticate(request, self._lookup, now, self._owner.region)
        for header in _OWNER_HEADERS:
            if request.header(header, self._owner.account) != self._owner.account:
                raise S3Error("AccessDenied")
        level: Level = "object" if key else "bucket" if bucket else "service"
        operation = find_operation(level, request.method, request.query)
        return await operation(
            S3Call(request, self._artifacts, self._owner, caller.region, bucket, key, caller.framing)
        )

    async def _refusal(self, request: Request, error: S3Error, request_id: str) -> Response:
        if request.method == "HEAD" or error.status == 304:
            return Response(error.status, error.headers)
        headers = (("content-type", "application/xml"), *error.headers, *await _rest_of_body(request))
        return Response(error.status, headers, error.body(request.path, request_id))


async def _rest_of_body(request: Request) -> tuple[tuple[str, str], ...]:
    """Take the rest of a body that is refused, so that the next request on the connection is understood; when it is
    long, the header that ends the connection instead."""
    length = request.header("content-length", "0")
    if "transfer-encoding" in request.by_name or not length.isdigit() or int(length) > _DRAINED:
        return (("connection", "close"),)
    async for _ in request.chunks:
        pass
    return ()


def _address(raw_path: str) -> tuple[str, str]:
    """Bucket and key of a path as sent. Raises S3Error when it is no UTF-8."""
    bucket, _, key = raw_path.removeprefix("/").partition("/")
    try:
        return unquote_to_bytes(bucket).decode(), unquote_to_bytes(key.encode("latin-1")).decode()
    except UnicodeError:
        raise S3Error("InvalidURI") from None
