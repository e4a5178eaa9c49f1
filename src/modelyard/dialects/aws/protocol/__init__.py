"""AWS operations as plain functions; ``AwsService`` registers them, ``AwsDispatcher`` serves them."""

from modelyard.dialects.aws.protocol.dispatch import AwsDispatcher
from modelyard.dialects.aws.protocol.errors import AwsError, validation_error
from modelyard.dialects.aws.protocol.service import AwsService, Call, Overlay

__all__ = ["AwsDispatcher", "AwsError", "AwsService", "Call", "Overlay", "validation_error"]
