"""S3 URLs as clients write them: ``s3://`` locations, and the ``https://`` forms of the same.

Owns the forms (https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html).
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from modelyard.dialects.sagemaker.errors import refused

_S3 = re.compile(r"s3://([^/]+)(?:/(.*))?$", re.DOTALL)
_PATH_STYLE = re.compile(r"https://s3[.-][^/]*amazonaws\.com(?:\.cn)?/([^/]+)(?:/(.*))?$", re.DOTALL)
_HOST_STYLE = re.compile(r"https://([^/]+?)\.s3[.-][^/]*amazonaws\.com(?:\.cn)?(?:/(.*))?$", re.DOTALL)


def s3_location(url: str) -> str:
    """The URL as ``s3://bucket/key``. Raises ValidationException for a URL that is not one of S3.

    >>> s3_location("https://data.s3.eu-west-1.amazonaws.com/iris/a%20b.csv")
    's3://data/iris/a b.csv'
    """
    for form in (_PATH_STYLE, _HOST_STYLE):
        if found := form.match(url):
            return f"s3://{found[1]}/{unquote(found[2] or '')}"
    found = _S3.match(url)
    if found is None:
        raise refused(f'The URL "{url}" is not one of S3: it must begin with s3://BUCKET/')
    return f"s3://{found[1]}/{found[2] or ''}"


def bucket_of(location: str) -> str:
    """The bucket of an ``s3://`` location."""
    return location.removeprefix("s3://").partition("/")[0]


def key_of(location: str) -> str:
    """The key of an ``s3://`` location."""
    return location.removeprefix("s3://").partition("/")[2]
