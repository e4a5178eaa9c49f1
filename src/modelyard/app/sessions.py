"""Credentials of a running job: what lets a script call boto3 and train from within.

Implements core.jobs.ports.SessionIssuer over the keys of the core.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelyard.base.errors import NotFound
from modelyard.core.identity.service import KeyService


class JobSessions:
    """Thread-safe. ``url`` is where a job reaches this server."""

    def __init__(self, keys: KeyService, url: str, region: str) -> None:
        self._keys = keys
        self._url = url
        self._region = region

    def issue(self, principal: str, attempt_id: str, lifetime: float) -> Mapping[str, str]:
        """The variables of a session with the rights of ``principal``; none when that key is gone."""
        try:
            session = self._keys.session(principal, lifetime, owner=attempt_id)
        except NotFound:
            return {}
        return {
            "AWS_ACCESS_KEY_ID": session.access_key,
            "AWS_SECRET_ACCESS_KEY": session.secret,
            "AWS_SESSION_TOKEN": session.session_token or "",
            "AWS_ENDPOINT_URL": self._url,
            "AWS_DEFAULT_REGION": self._region,
            "AWS_REGION": self._region,
        }

    def revoke(self, attempt_id: str) -> None:
        self._keys.end_sessions(attempt_id)
