"""botocore's models of AWS services: the authority on shapes, loaded at run time and kept.

Refuses to change them: what a service accepts beyond its model is an operation's ``Overlay``.
"""

from __future__ import annotations

from functools import cache

from botocore.loaders import Loader
from botocore.model import ServiceModel


@cache
def service_model(name: str) -> ServiceModel:
    """The newest model of a service by botocore's name for it. Raises botocore's UnknownServiceError."""
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)
