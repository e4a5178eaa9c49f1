"""What SageMaker answers when it refuses: the core's errors in its codes and words.

Owns the wording; clients match on substrings of it. Refuses to know operations. Codes have no suffix
``Exception`` but for ValidationException (measured against real clients).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from modelyard.base.errors import AlreadyExists, Conflict, Invalid, LimitExceeded, NotFound
from modelyard.dialects.aws.protocol import AwsError, validation_error
from modelyard.dialects.aws.protocol.checks import problem
from modelyard.dialects.sagemaker.arns import Arn

NOUNS = {"model": "model", "endpoint-config": "endpoint configuration", "endpoint": "endpoint"}
"""How the service words the kinds of objects whose unknown and duplicate names it tells alike."""

NOT_NULL = "Member must not be null"


def refused(message: str) -> AwsError:
    """A ValidationException."""
    return AwsError("ValidationException", message)


def violated(failures: Iterable[tuple[str, object, str]]) -> AwsError:
    """Constraints that do not hold, each as (member, value, constraint), in the words of the service.

    >>> violated([("productionVariants.1.member.modelName", None, NOT_NULL)]).message
    "1 validation error detected: Value null at 'productionVariants.1.member.modelName' failed to satisfy \
constraint: Member must not be null"
    """
    return validation_error([problem(value, member, constraint) for member, value, constraint in failures])


def not_found(arn: Arn) -> AwsError:
    """An unknown name, by the kind of object."""
    if arn.kind in NOUNS:
        return refused(f'Could not find {NOUNS[arn.kind]} "{arn}".')
    if arn.kind == "training-job":
        return refused("Requested resource not found.")
    if arn.kind == "notebook-instance":
        return refused("RecordNotFound")
    return refused(
        f"Unable to describe Notebook Instance Lifecycle Config '{arn}'. "
        "(Details: Notebook Instance Lifecycle Config does not exist.)"
    )


def exists(arn: Arn) -> AwsError:
    """A name that is taken, by the kind of object."""
    if arn.kind in NOUNS:
        return refused(f'Cannot create already existing {NOUNS[arn.kind]} "{arn}".')
    if arn.kind == "training-job":
        return AwsError(
            "ResourceInUse",
            "Training job names must be unique within an AWS account and region, "
            f"and a training job with this name already exists ({arn})",
        )
    if arn.kind == "notebook-instance":
        return refused(f"Cannot create a duplicate Notebook Instance ({arn})")
    return refused(
        f"Unable to create Notebook Instance Lifecycle Config {arn}. "
        "(Details: Notebook Instance Lifecycle Config already exists.)"
    )


@contextmanager
def worded(arn: Arn) -> Iterator[None]:
    """The core's errors about the object of ``arn`` as the service words them."""
    try:
        yield
    except NotFound as error:
        raise not_found(arn) from error
    except AlreadyExists as error:
        raise exists(arn) from error
    except LimitExceeded as error:
        raise AwsError("ResourceLimitExceeded", error.message) from error
    except (Invalid, Conflict) as error:
        raise refused(error.message) from error
