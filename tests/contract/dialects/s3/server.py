"""The S3 dialect by itself behind a real HTTP server on a TCP port, over real files and SQLite."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config

from modelyard.base.clock import Clock, SystemClock
from modelyard.base.disk import RESERVE, Disk, RealDisk
from modelyard.base.ids import RandomIds
from modelyard.core.artifacts.service import ArtifactService
from modelyard.core.artifacts.writing import DEFAULT_LIMITS, WriteLimits
from modelyard.core.identity.model import Credential
from modelyard.dialects.aws.s3.routes import S3Dialect
from modelyard.stores.objects.files import FileBlobStore
from modelyard.stores.sql.artifacts import SqlCatalogue
from modelyard.stores.sql.database import Database

from ..answering import answering

KEY = Credential("AKIATESTTESTTESTTEST", "secret+/key", "AKIATESTTESTTESTTEST")
SESSION = Credential("ASIATESTTESTTESTTEST", "other", KEY.access_key, session_token="token/+=")
ACCOUNT = "000000000000"


class S3Server:
    """Started on a free port; ``artifacts`` is the service behind it."""

    def __init__(
        self,
        folder: Path,
        clock: Clock | None = None,
        disk: Disk | None = None,
        limits: WriteLimits = DEFAULT_LIMITS,
        reserve: int = RESERVE,
    ) -> None:
        self.folder = folder
        self.database = Database(f"sqlite:///{folder}/catalogue.db")
        self.database.migrate()
        self.blobs = FileBlobStore(folder / "blobs", disk or RealDisk(), reserve)
        clock = clock or SystemClock()
        self.artifacts = ArtifactService(SqlCatalogue(self.database), self.blobs, clock, RandomIds(), limits)
        known = {each.access_key: each for each in (KEY, SESSION)}
        self.dialect = S3Dialect(self.artifacts, known.get, clock, ACCOUNT, "us-east-1")
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self.port = self._open.enter_context(answering(self.dialect.handle))
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self.database.close()

    def client(self, region: str = "us-east-1", key: Credential = KEY, **config: Any) -> Any:
        """A boto3 client as it comes, but for the options given."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret,
            aws_session_token=key.session_token,
            config=Config(retries={"max_attempts": 1}, **config),
        )

    def blob_files(self) -> list[Path]:
        return [path for path in (self.folder / "blobs").rglob("*") if path.is_file()]
