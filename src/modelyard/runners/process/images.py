"""Which environment answers for a training or serving image: by its repository, whoever's registry it names.

Follows the published image names (https://docs.aws.amazon.com/sagemaker/latest/dg-ecr-paths/sagemaker-algo-docker-registry-paths.html).
Owns the table of repositories; refuses to know how an environment is built.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from modelyard.base.errors import Invalid, MissingExtra


@dataclass(frozen=True, slots=True)
class Answer:
    """An environment: the module it cannot do without and the extra that brings it."""

    environment: str
    module: str | None = None
    extra: str = ""


_SKLEARN = Answer("sklearn", "sklearn")
_XGBOOST = Answer("xgboost", "xgboost", "xgboost")
_PYTORCH = Answer("pytorch", "torch", "torch")
REPOSITORIES = {
    "sagemaker-scikit-learn": _SKLEARN,
    "sagemaker-xgboost": _XGBOOST,
    "pytorch-training": _PYTORCH,
    "pytorch-inference": _PYTORCH,
    "modelyard/script": Answer("script"),
    "modelyard/serving": Answer("serving", "sklearn"),
}

_IMAGE = re.compile(
    r"(?:(?P<registry>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::\d+)?)/)??(?P<repository>[a-z0-9._/-]+)"
    r"(?::[A-Za-z0-9._-]+)?(?:@sha256:[0-9a-f]{64})?"
)


def answer_for(image: str, installed: Callable[[str], bool] | None = None) -> str:
    """The environment for ``image``. Raises Invalid naming the images that would do, MissingExtra naming the
    pip line when the libraries are not installed.

    >>> answer_for("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3")
    'sklearn'
    """
    match = _IMAGE.fullmatch(image)
    found = _lookup(match["repository"]) if match else None
    if found is None:
        raise Invalid(
            what=f"No environment here answers for the image {image!r}. These would do, from any account, region "
            f"and version: {', '.join(REPOSITORIES)}."
        )
    if found.module is not None and not (installed or _installed)(found.module):
        raise MissingExtra(what=f"The image {image!r}", package=found.module, extra=found.extra or "all")
    return found.environment


def _lookup(repository: str) -> Answer | None:
    parts = repository.split("/")
    return REPOSITORIES.get("/".join(parts[-2:])) or REPOSITORIES.get(parts[-1])


def _installed(module: str) -> bool:
    return find_spec(module) is not None
