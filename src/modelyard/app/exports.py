"""``modelyard env``: what a shell must export so that AWS's clients and SDKs speak to this server.

Owns the lines and the files that they name, in the data directory's ``clients`` folder. The SDK configuration file
follows https://sagemaker.readthedocs.io/en/stable/overview.html#configuring-and-using-defaults-with-the-sagemaker-python-sdk,
the other https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from modelyard.app.house import ensure_default_key
from modelyard.app.launch import described_url, server_url
from modelyard.app.layout import Layout
from modelyard.app.settings import Settings
from modelyard.base.disk import RealDisk, is_locked, write_durably
from modelyard.base.errors import Unavailable
from modelyard.core.identity.variables import client_variables, to_unset

REDIRECT = Path(__file__).with_name("redirect")
"""The folder whose sitecustomize sends here what the SDKs send to AWS whatever the variables say."""

REMOTE_IMAGE = "modelyard/script:1"
"""The image of functions that ``@remote`` sends, for which the SDK has no default on Python 3.11 and newer."""


def shell_exports(given: dict[str, Any]) -> str:
    """Lines for ``eval``; writes the files that they name."""
    settings = Settings(**given)
    url = _url(settings)
    key = ensure_default_key(settings)
    variables = client_variables(url, settings.region, key["access_key"], key["secret"])
    folder = Layout(settings.data_dir).clients
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for variable, name, text in (
        ("AWS_CONFIG_FILE", "aws-config", _aws_config(settings, url)),
        ("SAGEMAKER_USER_CONFIG_OVERRIDE", "sagemaker-sdk.yaml", _sdk_config(settings)),
    ):
        write_durably(RealDisk(), folder / name, text.encode(), mode=0o644)
        variables[variable] = str(folder / name)
    variables["SAGEMAKER_INTERNAL_IMAGE_URI"] = REMOTE_IMAGE
    variables["PYTHONPATH"] = _python_path(os.environ.get("PYTHONPATH", ""))
    unset = " ".join(to_unset(os.environ))
    return "\n".join([f"unset {unset}", *(f"export {name}={shlex.quote(value)}" for name, value in variables.items())])


def unserved(given: dict[str, Any]) -> Path | None:
    """The data directory, when no server runs on it."""
    folder = Settings(**given).data_dir
    return None if is_locked(Layout(folder).server_lock) else folder


def _url(settings: Settings) -> str:
    """Where the server that runs answers; without one, where the next will. Raises Unavailable when nobody can know."""
    layout = Layout(settings.data_dir)
    if is_locked(layout.server_lock) or "port" not in settings.model_fields_set:
        described = described_url(layout)
        if described is not None:
            return described
    if settings.port == 0:
        raise Unavailable(what=f"port 0 is any free one and no server runs on {settings.data_dir}; start it first")
    return server_url(settings)


def _python_path(before: str) -> str:
    """``before`` with our folder in front, once."""
    kept = [entry for entry in before.split(os.pathsep) if entry not in ("", str(REDIRECT))]
    return os.pathsep.join([str(REDIRECT), *kept])


def _aws_config(settings: Settings, url: str) -> str:
    return f"""# Written by `modelyard env` for processes that lose its variables.
[default]
region = {settings.region}
endpoint_url = {url}
"""


def _sdk_config(settings: Settings) -> str:
    role = f"arn:aws:iam::{settings.account_id}:role/{settings.default_role}"
    bucket = f"sagemaker-{settings.region}-{settings.account_id}"
    return f"""# Written by `modelyard env` for the SageMaker Python SDK, versions 2 and 3.
SchemaVersion: "1.0"
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
      Session:
        DefaultS3Bucket: {bucket}
  TrainingJob:
    RoleArn: {role}
  Model:
    ExecutionRoleArn: {role}
"""
