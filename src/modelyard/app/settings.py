"""Every setting of Modelyard, its default and what it means: the one table that docs/settings.md shows.

Sources, later ones win: the defaults here, ``modelyard.toml`` in the data directory or the file that
MODELYARD_CONFIG names, MODELYARD_* variables, the command line.
"""

from __future__ import annotations

import os
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Annotated, Any

import platformdirs
from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from modelyard.base.disk import RESERVE
from modelyard.base.errors import Invalid

MB = 1 << 20
GB = 1 << 30

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=0)]


def _data_dir() -> Path:
    return Path(platformdirs.user_data_dir("modelyard", appauthor=False))


_Absolute = AfterValidator(Path.absolute)
"""The server's processes have other working directories than the shell that named the path."""


class Settings(BaseSettings):
    """Modelyard's settings; each is a MODELYARD_<NAME> variable and a key of modelyard.toml."""

    model_config = SettingsConfigDict(env_prefix="MODELYARD_", extra="forbid", frozen=True)

    data_dir: Annotated[Path, _Absolute] = Field(default_factory=_data_dir, description="Where everything is kept")
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="TCP port to listen on")
    tls_cert: Annotated[Path, _Absolute] | None = Field(None, description="Certificate chain (PEM) for HTTPS")
    tls_key: Annotated[Path, _Absolute] | None = Field(None, description="Private key (PEM) of tls_cert")
    allowed_hosts: tuple[str, ...] = Field((), description="Host names accepted beside loopback names and `host`")
    cors_origins: tuple[str, ...] = Field((), description="Origins of other sites that browsers may call from")
    anonymous: bool | None = Field(
        None, description="Answer unsigned calls of the REST dialects; unset: only while listening on loopback"
    )

    account_id: str = Field("000000000000", pattern=r"^\d{12}$", description="Account in ARNs")
    region: str = Field("us-east-1", description="Region of objects that no signed request named one for")
    default_role: str = Field("ModelyardRole", description="Name of the role that `modelyard env` exports")
    describe_hold: float = Field(
        8.0, ge=0, description="Seconds for which the first Describe after a change is held open"
    )

    runner: str = Field("process", description="Where jobs and endpoints run: the name of a runner")
    job_cpus: float | None = Field(None, gt=0, description="Processors that jobs share; unset: all")
    job_memory: int | None = Field(None, gt=0, description="Bytes of memory that jobs share; unset: 80 % of all")
    job_processes: Count = Field(1024, description="Processes and threads of one job instance")
    job_log: Bytes = Field(GB, description="Bytes of log kept of a job instance; later lines are counted, not kept")
    job_file: Bytes = Field(100 * GB, description="Largest file that a job may write")
    stop_grace: float = Field(120.0, ge=0, description="Seconds between SIGTERM and SIGKILL of a job")
    leave_jobs_running: bool = Field(False, description="A clean stop leaves jobs running for the next start")
    package_indexes: tuple[str, ...] = Field((), description="Package indexes that requirements.txt may name")
    allow_unsandboxed: bool = Field(False, description="Run user code where no sandbox can be made (trusted code only)")

    endpoint_memory: Bytes = Field(4 * GB, description="Bytes of memory of one endpoint worker")
    endpoint_workers: Count = Field(64, description="Workers of one endpoint")
    endpoint_load_timeout: Positive = Field(600.0, description="Seconds a model may take to load")
    prediction_body: Bytes = Field(25 * MB, description="Largest prediction request")
    prediction_timeout: Positive = Field(60.0, description="Seconds a prediction may take")
    queue_requests: Count = Field(1024, description="Requests that wait for one endpoint")
    queue_bytes: Bytes = Field(64 * MB, description="Bytes of requests that wait for one endpoint")

    request_head: Bytes = Field(64 * 1024, description="Largest request head")
    head_timeout: Positive = Field(10.0, description="Seconds a request head may take")
    body_idle_timeout: Positive = Field(30.0, description="Seconds a body may pause")
    keepalive_timeout: Positive = Field(75.0, description="Seconds an idle connection is kept")
    max_connections: Count = Field(10_000, description="Connections at once, or fewer where file limits say so")
    control_body: Bytes = Field(5 * MB, description="Largest JSON request of a control-plane call")
    object_size: Bytes = Field(5 * GB, description="Largest S3 object or part of one in one request")
    disk_reserve: Bytes = Field(RESERVE, description="Free disk that no write may use up")
    archive_members: Count = Field(100_000, description="Members of a model or source archive")
    archive_bytes: Bytes = Field(20 * GB, description="Unpacked bytes of an archive")
    archive_ratio: Count = Field(200, description="Unpacked to packed bytes of an archive over archive_ratio_from")
    archive_ratio_from: Bytes = Field(100 * MB, description="Unpacked bytes from which archive_ratio counts")
    front_patience: Positive = Field(900.0, description="Seconds after which a front without a server ends")

    def __init__(self, **given: Any) -> None:
        """Raises Invalid, naming each setting that is wrong and the file or variable that it comes from."""
        try:
            super().__init__(**given)
        except ValidationError as error:
            wrong = "; ".join(_wrong(tuple(map(str, one["loc"])), one["msg"], given) for one in error.errors())
            raise Invalid(what=f"a setting is wrong: {wrong}") from error
        except TOMLDecodeError as error:
            raise Invalid(what=f"the settings cannot be read: {_config_file(given)}: {error}") from error
        except SettingsError as error:
            raise Invalid(what=f"the settings cannot be read: {error}") from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _config_file(init_settings()))


def _wrong(where: tuple[str, ...], why: str, given: dict[str, Any]) -> str:
    """What is wrong with one setting, with its source where that is not the command line."""
    variable = f"MODELYARD_{where[0].upper()}" if where else ""
    if not where or where[0] in given:
        source = ""
    elif variable in os.environ:
        source = f" ({variable})"
    else:
        source = f" (in {_config_file(given)})"
    return f"{'.'.join(where)}{source}: {why}"


def _config_file(given: dict[str, Any]) -> Path:
    """The settings file, which need not be there. Raises Invalid when MODELYARD_CONFIG names one that is not."""
    named = os.environ.get("MODELYARD_CONFIG")
    if named:
        if not Path(named).is_file():
            raise Invalid(what=f"MODELYARD_CONFIG names {named}, and there is no such file; mend it or unset it")
        return Path(named)
    folder = Path(given.get("data_dir") or os.environ.get("MODELYARD_DATA_DIR") or _data_dir())
    return folder / "modelyard.toml"


def settings_table() -> str:
    """Every setting as a Markdown table: docs/settings.md holds it, and a test compares the two."""
    lines = ["| setting | variable | default | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "the platform's data folder" if name == "data_dir" else _shown(field.default)
        lines.append(f"| `{name}` | `MODELYARD_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def _shown(default: Any) -> str:
    if default is None or default == ():
        return "unset"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)
