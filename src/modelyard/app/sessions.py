"""Credentials of a running job: what lets a script call boto3 and train from within.

Implements core.jobs.ports.SessionIssuer over the keys of the core. Owns the file of certificates that jobs trust
when this server speaks TLS. Refuses to know how a job comes to see it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from modelyard.base.disk import Disk, write_durably
from modelyard.base.errors import NotFound
from modelyard.core.identity.service import KeyService
from modelyard.core.identity.variables import client_variables


class JobSessions:
    """Thread-safe. ``url`` is where a job reaches this server; ``authorities`` the file of the certificates that a
    job's AWS clients trust, where they must not be those that come with boto3."""

    def __init__(self, keys: KeyService, url: str, region: str, authorities: Path | None = None) -> None:
        self._keys = keys
        self._url = url
        self._region = region
        self._trusts = {} if authorities is None else {"AWS_CA_BUNDLE": str(authorities)}

    def issue(self, principal: str, attempt_id: str, lifetime: float) -> Mapping[str, str]:
        """The variables of a session with the rights of ``principal``; none when that key is gone."""
        try:
            session = self._keys.session(principal, lifetime, owner=attempt_id)
        except NotFound:
            return {}
        key = (session.access_key, session.secret, session.session_token)
        return client_variables(self._url, self._region, *key) | self._trusts

    def revoke(self, attempt_id: str) -> None:
        self._keys.end_sessions(attempt_id)


def write_authorities(disk: Disk, path: Path, certificate: Path) -> Path:
    """Write to ``path`` what AWS clients of a job trust: the certificates that come with boto3, those of this machine,
    and ``certificate``, which may be our own."""
    system = ssl.get_default_verify_paths().cafile
    botocore = find_spec("botocore")  # imported it would cost the server 20 MB
    come_with = [Path(folder, "cacert.pem") for folder in (botocore and botocore.submodule_search_locations) or ()]
    files = [*come_with, *([Path(system)] if system else []), certificate]
    write_durably(disk, path, b"\n".join(file.read_bytes() for file in files if file.is_file()), mode=0o644)
    return path
