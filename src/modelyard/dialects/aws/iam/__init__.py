"""IAM: roles as clients make and read them.

Owns no rights: none hang on a role here.
"""

from modelyard.dialects.aws.iam.operations import iam_service

__all__ = ["iam_service"]
