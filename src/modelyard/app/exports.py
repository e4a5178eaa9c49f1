"""``modelyard env``: what a shell must export so that AWS's clients and SDKs speak to this server.

The SDK configuration file follows
https://sagemaker.readthedocs.io/en/stable/overview.html#configuring-and-using-defaults-with-the-sagemaker-python-sdk.
"""

from __future__ import annotations

import shlex
from typing import Any

from modelyard.app.house import ensure_default_key
from modelyard.app.launch import described_url, server_url
from modelyard.app.layout import Layout
from modelyard.app.settings import Settings
from modelyard.base.disk import RealDisk, is_locked, write_durably
from modelyard.base.errors import Unavailable


def client_variables(settings: Settings, url: str) -> dict[str, str]:
    """The variables for any AWS client; makes the default key at first use."""
    key = ensure_default_key(settings)
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": key["access_key"],
        "AWS_SECRET_ACCESS_KEY": key["secret"],
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_REGION": settings.region,
    }


def shell_exports(given: dict[str, Any]) -> str:
    """Lines for ``eval``; writes the SDK configuration file that the last one names."""
    settings = Settings(**given)
    variables = client_variables(settings, _url(settings))
    config = Layout(settings.data_dir).root / "sagemaker-sdk.yaml"
    write_durably(RealDisk(), config, _sdk_config(settings).encode(), mode=0o644)
    variables["SAGEMAKER_USER_CONFIG_OVERRIDE"] = str(config)
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


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


def _sdk_config(settings: Settings) -> str:
    role = f"arn:aws:iam::{settings.account_id}:role/{settings.default_role}"
    bucket = f"sagemaker-{settings.region}-{settings.account_id}"
    return f"""# Written by `modelyard env` for the SageMaker Python SDK.
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
