"""S3's errors: their codes, statuses and words, and which one a core error becomes.

Follows https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from modelyard.base.errors import ModelyardError
from modelyard.core.artifacts.model import KEY_LIMIT
from modelyard.dialects.aws.s3.xml import document

Fields = Mapping[str, Any]

_STATUSES = {
    "AccessDenied": 403,
    "AccessControlListNotSupported": 400,
    "AuthorizationHeaderMalformed": 400,
    "AuthorizationQueryParametersError": 400,
    "BadDigest": 400,
    "BucketAlreadyExists": 409,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "ExpiredToken": 400,
    "IncompleteBody": 400,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidBucketName": 400,
    "InvalidDigest": 400,
    "InvalidPart": 400,
    "InvalidPartOrder": 400,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "InvalidTag": 400,
    "InvalidToken": 400,
    "InvalidURI": 400,
    "KeyTooLongError": 400,
    "MalformedPOSTRequest": 400,
    "MalformedXML": 400,
    "MaxMessageLengthExceeded": 400,
    "MaxPostPreDataLengthExceeded": 400,
    "MetadataTooLarge": 400,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "MissingSecurityHeader": 400,
    "NotImplemented": 501,
    "NotModified": 304,
    "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "XAmzContentSHA256Mismatch": 400,
}

_MESSAGES = {
    "AccessDenied": "Access Denied",
    "AccessControlListNotSupported": "The bucket does not allow ACLs",
    "BadDigest": "The Content-MD5 you specified did not match what we received.",
    "BucketAlreadyOwnedByYou": ("Your previous request to create the named bucket succeeded and you already own it."),
    "BucketNotEmpty": "The bucket you tried to delete is not empty",
    "EntityTooLarge": "Your proposed upload exceeds the maximum allowed size",
    "EntityTooSmall": "Your proposed upload is smaller than the minimum allowed size",
    "IncompleteBody": "You did not provide the number of bytes specified by the Content-Length HTTP header",
    "InternalError": "We encountered an internal error. Please try again.",
    "InvalidAccessKeyId": "The AWS Access Key Id you provided does not exist in our records.",
    "InvalidBucketName": "The specified bucket is not valid.",
    "InvalidDigest": "The Content-MD5 you specified was invalid.",
    "InvalidPart": (
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
        "specified entity tag may not match the part's entity tag."
    ),
    "InvalidPartOrder": "The list of parts was not in ascending order. Parts must be ordered by part number.",
    "InvalidRange": "The requested range is not satisfiable",
    "InvalidURI": "Couldn't parse the specified URI.",
    "KeyTooLongError": "Your key is too long",
    "MalformedXML": "The XML you provided was not well-formed or did not validate against our published schema",
    "MetadataTooLarge": "Your metadata headers exceed the maximum allowed metadata size",
    "MethodNotAllowed": "The specified method is not allowed against this resource.",
    "MissingContentLength": "You must provide the Content-Length HTTP header.",
    "NoSuchBucket": "The specified bucket does not exist",
    "NoSuchKey": "The specified key does not exist.",
    "NoSuchUpload": (
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
        "completed."
    ),
    "NoSuchVersion": "The specified version does not exist.",
    "NotImplemented": "A header or query you provided implies functionality that is not implemented",
    "PreconditionFailed": "At least one of the pre-conditions you specified did not hold",
    "RequestTimeTooSkewed": "The difference between the request time and the current time is too large.",
    "SignatureDoesNotMatch": (
        "The request signature we calculated does not match the signature you provided. Check your key and signing "
        "method."
    ),
    "XAmzContentSHA256Mismatch": ("The provided 'x-amz-content-sha256' header does not match what was computed."),
}


class S3Error(Exception):
    """An answer that is an error. ``fields`` are further elements of it, ``headers`` those of its response."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int = 0,
        headers: tuple[tuple[str, str], ...] = (),
        **fields: str | int,
    ) -> None:
        self.code = code
        self.message = message or _MESSAGES.get(code, code)
        self.status = status or _STATUSES.get(code) or (404 if code.startswith("NoSuch") or "NotFound" in code else 400)
        self.headers = headers
        self.fields = fields
        super().__init__(f"{code}: {self.message}")

    def body(self, resource: str, request_id: str) -> bytes:
        fields = list(self.fields.items())
        about = [("Code", self.code), ("Message", self.message), *fields]
        return document("Error", [*about, ("Resource", resource), ("RequestId", request_id)], namespace=False)


def from_core(error: ModelyardError) -> S3Error:
    """What S3 says in a core error's place."""
    translate = _BY_CODE.get(error.code)
    if translate is not None:
        return translate(error.message, error.fields)
    return S3Error("InternalError")


def _not_found(_message: str, fields: Fields) -> S3Error:
    name = str(fields.get("name"))
    match fields.get("kind"):
        case "bucket":
            return S3Error("NoSuchBucket", BucketName=name)
        case "upload":
            return S3Error("NoSuchUpload", UploadId=name)
    return S3Error("NoSuchKey", Key=name.removeprefix("s3://").partition("/")[2])


def _precondition(message: str, fields: Fields) -> S3Error:
    if fields["condition"] == "If-Match" and not fields.get("exists", True):
        return _not_found(message, {"kind": "object", "name": fields["name"]})
    return S3Error("PreconditionFailed", Condition=str(fields["condition"]))


def _part_too_small(_message: str, fields: Fields) -> S3Error:
    proposed, least = int(fields["size"]), int(fields["minimum"])
    return S3Error("EntityTooSmall", PartNumber=int(fields["number"]), ProposedSize=proposed, MinSizeAllowed=least)


_BY_CODE: dict[str, Callable[[str, Fields], S3Error]] = {
    "not_found": _not_found,
    "already_exists": lambda _, fields: S3Error("BucketAlreadyOwnedByYou", BucketName=str(fields.get("name"))),
    "bucket_not_empty": lambda _, fields: S3Error("BucketNotEmpty", BucketName=str(fields["name"])),
    "precondition_failed": _precondition,
    "too_large": lambda _, fields: S3Error("EntityTooLarge", MaxSizeAllowed=int(fields["limit"])),
    "part_too_small": _part_too_small,
    "invalid_part": lambda _, fields: S3Error("InvalidPart", PartNumber=int(fields["number"])),
    "bad_bucket_name": lambda _, fields: S3Error("InvalidBucketName", BucketName=str(fields["name"])),
    "bad_key": lambda _, fields: S3Error("KeyTooLongError", MaxSizeAllowed=KEY_LIMIT),
    "read_only_bucket": lambda message, _: S3Error("AccessDenied", message),
    "forbidden": lambda message, _: S3Error("AccessDenied", message),
    "out_of_space": lambda message, _: S3Error("InsufficientStorage", message, status=507),
    "unavailable": lambda message, _: S3Error("SlowDown", message),
    "invalid": lambda message, _: S3Error("InvalidArgument", message),
    "conflict": lambda message, _: S3Error("OperationAborted", message, status=409),
    "limit_exceeded": lambda message, _: S3Error("InvalidRequest", message),
}
