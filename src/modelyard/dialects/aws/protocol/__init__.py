"""AWS operations as plain functions; ``AwsService`` registers them, ``AwsDispatcher`` serves them."""

from modelyard.dialects.aws.protocol.errors import AwsError, validation_error
from modelyard.dialects.aws.protocol.service import AwsService, Call, Mount, Overlay

__all__ = ["AwsError", "AwsService", "Call", "Mount", "Overlay", "validation_error"]
