"""AWS operations as plain functions: ``AwsService`` registers them, ``aws_door`` serves them.

Owns the protocol of AWS's APIs over botocore's models of them. Refuses to know what an operation does.
"""

from modelyard.dialects.aws.protocol.dispatch import AwsDispatcher
from modelyard.dialects.aws.protocol.door import aws_door
from modelyard.dialects.aws.protocol.errors import AwsError, validation_error
from modelyard.dialects.aws.protocol.service import AwsService, Call, Overlay

__all__ = ["AwsDispatcher", "AwsError", "AwsService", "Call", "Overlay", "aws_door", "validation_error"]
