"""Which environment answers for a training or serving image: by its repository, whoever's registry it names.

Follows the published image names (https://docs.aws.amazon.com/sagemaker/latest/dg-ecr-paths/sagemaker-algo-docker-registry-paths.html).
Owns the look-up and the families of script mode; further families are published as ``IMAGES`` by plug-ins. Refuses
to know how an environment is built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from modelyard.base.errors import Invalid, MissingExtra


@dataclass(frozen=True, slots=True)
class ImageFamily:
    """Images that one environment answers for, by repository; the module it cannot do without, and the extra of
    Modelyard that brings that module."""

    environment: str
    repositories: tuple[str, ...]
    module: str | None = None
    extra: str = "all"


@dataclass(frozen=True, slots=True)
class Images:
    """What a plug-in publishes: the families that it answers for."""

    families: tuple[ImageFamily, ...]


SCRIPT_MODE = (
    ImageFamily("sklearn", ("sagemaker-scikit-learn",), "sklearn"),
    ImageFamily("xgboost", ("sagemaker-xgboost",), "xgboost", "xgboost"),
    ImageFamily("pytorch", ("pytorch-training", "pytorch-inference"), "torch", "torch"),
    ImageFamily("script", ("modelyard/script",)),
    ImageFamily("serving", ("modelyard/serving",), "sklearn"),
)

_IMAGE = re.compile(
    r"(?:(?P<registry>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::\d+)?)/)??(?P<repository>[a-z0-9._/-]+)"
    r"(?::[A-Za-z0-9._-]+)?(?:@sha256:[0-9a-f]{64})?"
)


def answer_for(
    image: str,
    families: Iterable[ImageFamily] = SCRIPT_MODE,
    installed: Callable[[str], bool] | None = None,
) -> str:
    """The environment for ``image``. Raises Invalid naming the images that would do, MissingExtra naming the
    pip line when the libraries are not installed.

    >>> answer_for("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3")
    'sklearn'
    """
    known = {repository: family for family in families for repository in family.repositories}
    match = _IMAGE.fullmatch(image)
    parts = match["repository"].split("/") if match else []
    found = known.get("/".join(parts[-2:])) or known.get("".join(parts[-1:]))
    if found is None:
        raise Invalid(
            what=f"No environment here answers for the image {image!r}. These would do, from any account, region "
            f"and version: {', '.join(known)}."
        )
    if found.module is not None and not (installed or _installed)(found.module):
        raise MissingExtra(what=f"The image {image!r}", package=found.module, extra=found.extra)
    return found.environment


def _installed(module: str) -> bool:
    return find_spec(module) is not None
