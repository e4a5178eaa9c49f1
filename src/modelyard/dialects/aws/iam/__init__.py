"""IAM: roles as clients make and read them; no rights hang on them."""

from modelyard.dialects.aws.iam.operations import iam_service

__all__ = ["iam_service"]
