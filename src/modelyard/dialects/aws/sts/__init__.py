"""STS: who calls, and credentials for a session.

Owns no keys: core/identity makes and checks them.
"""

from modelyard.dialects.aws.sts.operations import sts_service

__all__ = ["sts_service"]
