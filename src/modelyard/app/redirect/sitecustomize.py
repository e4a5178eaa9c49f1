"""What `modelyard env` puts on PYTHONPATH, because the SageMaker SDKs leave two of a shell's variables unheeded.

Python runs it at its start, whichever interpreter and SDK version that is; so it imports the standard library
alone and touches a module only once somebody imports it. Both SDKs build their STS client with AWS's public
address (sagemaker/session.py, sagemaker/core/helper/session_helper.py: account_id, get_caller_identity_arn), and
scan a model's dependencies in a child with an emptied environment (sagemaker/serve/detector/dependency_manager.py).
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any


def _public_sts_is_the_configured_one(session: types.ModuleType) -> None:
    plain = session.Session.create_client

    @functools.wraps(plain)
    def create_client(self: Any, service_name: str, *args: Any, **given: Any) -> Any:
        asked = given.get("endpoint_url") or ""
        if service_name == "sts" and asked.startswith("https://sts.") and "AWS_ENDPOINT_URL" in os.environ:
            given["endpoint_url"] = None
        return plain(self, service_name, *args, **given)

    session.Session.create_client = create_client


def _the_child_finds_the_region(manager: types.ModuleType) -> None:
    def run(*args: Any, **given: Any) -> Any:
        if given.get("env") is not None and "AWS_CONFIG_FILE" in os.environ:
            given["env"] = {"AWS_CONFIG_FILE": os.environ["AWS_CONFIG_FILE"], **given["env"]}
        return subprocess.run(*args, **given)  # noqa: PLW1510

    manager.subprocess = types.SimpleNamespace(run=run)  # type: ignore[attr-defined]


_CHANGES: dict[str, Callable[[types.ModuleType], None]] = {
    "botocore.session": _public_sts_is_the_configured_one,
    "sagemaker.serve.detector.dependency_manager": _the_child_finds_the_region,
}


class _Finder:
    """Lets the modules above load as they are, then changes them."""

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        change = _CHANGES.pop(name, None)
        spec = importlib.util.find_spec(name) if change else None
        if change is None or spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _run_the_hidden_one() -> None:
    """Python starts only the first sitecustomize of its path; another's must not be lost by ours."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs every start
    others = [entry for entry in sys.path if os.path.abspath(entry) != here]  # noqa: PTH100
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


sys.meta_path.insert(0, _Finder())
_run_the_hidden_one()
