"""STS: who calls, and credentials for a session."""

from modelyard.dialects.aws.sts.operations import sts_service

__all__ = ["sts_service"]
