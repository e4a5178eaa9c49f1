"""Who may call: keys that sign, bearer tokens, and the session credentials of running jobs.

Owns their making, checking and ending. Refuses to know signatures (edge) and files. Access keys look as
AWS's do: AKIA... for a lasting key, ASIA... for a session
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable, Iterable

from modelyard.base.clock import Clock
from modelyard.base.errors import Invalid, NotFound
from modelyard.core.identity.model import Credential, KeyInfo
from modelyard.core.identity.ports import Cipher, KeyRow, KeyTable

Entropy = Callable[[int], bytes]

REMEMBERED = 86_400.0
"""Seconds for which an expired session stays known, so that who uses it hears that it has expired."""


class KeyService:
    """Thread-safe."""

    def __init__(
        self,
        table: KeyTable,
        cipher: Cipher,
        clock: Clock,
        entropy: Entropy = secrets.token_bytes,
    ) -> None:
        self._table = table
        self._cipher = cipher
        self._clock = clock
        self._entropy = entropy
        self._known: dict[str, Credential] = {}
        self._seen: frozenset[str] = frozenset()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._guard = threading.Lock()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this after each key that was made or ended here or that ``refresh`` found changed."""
        self._listeners += (listener,)

    def refresh(self) -> None:
        """Take up what another process changed in the table."""
        ids = frozenset(row.id for row in self._table.all())
        if ids != self._seen:
            self._seen = ids
            self._forget()

    def create(self, name: str) -> Credential:
        """A lasting key that signs requests. Its secret is in the answer and nowhere else in the clear."""
        access_key, secret = self._access_key("AKIA"), self._secret()
        self._add(KeyRow(access_key, "signing", name, access_key, self._clock.now(), sealed=self._seal(secret)))
        return Credential(access_key, secret, access_key)

    def create_bearer(self, name: str) -> tuple[KeyInfo, str]:
        """A token for the REST dialects: its listing and the token itself, shown this once."""
        token = "my_" + base64.urlsafe_b64encode(self._entropy(32)).decode().rstrip("=")
        row = KeyRow("bearer-" + self._entropy(6).hex(), "bearer", name, "", self._clock.now(), digest=_digest(token))
        self._add(row)
        return _info(row), token

    def session(
        self, maker: str, lifetime: float, owner: str | None = None, role: str = "", session: str = ""
    ) -> Credential:
        """Credentials with the rights of the key ``maker`` that end after ``lifetime`` seconds or with ``owner``,
        under the names of a ``role`` and of the ``session`` where they were made for one.

        Made from a session they belong to its owner and end no later than it. Raises NotFound when ``maker`` is gone.
        """
        made_by = self._table.get(maker)
        if made_by is None or self.lookup(maker) is None:
            raise NotFound(kind="key", name=maker)
        now = self._clock.now()
        expires = now + lifetime
        if made_by.kind == "session":
            owner, expires = made_by.owner, min(expires, made_by.expires or expires)
        access_key, secret, token = self._access_key("ASIA"), self._secret(), self._secret() + self._secret()
        sealed = self._seal(f"{secret}\n{token}")
        row = KeyRow(access_key, "session", f"{role}/{session}", made_by.principal, now, expires, sealed, owner=owner)
        self._add(row)
        if self._table.get(maker) is None:
            # Its owner ended meanwhile and may not have taken this row with it.
            self._table.remove(access_key)
            self._forget()
            raise NotFound(kind="key", name=maker)
        return Credential(access_key, secret, made_by.principal, token, expires, role or None, session or None)

    def lookup(self, access_key: str) -> Credential | None:
        """The credential of a signing or session key; None when there is none, or its principal is gone.

        An expired session is found too: whoever checks a signature says that it has expired.
        """
        known = self._known.get(access_key)
        if known is None:
            row = self._table.get(access_key)
            if row is None or row.sealed is None:
                return None
            known = self._credential(row)
            with self._guard:
                self._known[access_key] = known
        if known.principal != access_key and self.lookup(known.principal) is None:
            return None
        return known

    def verify_bearer(self, token: str) -> KeyInfo | None:
        """The key that this token belongs to, or None."""
        row = self._table.find_digest(_digest(token))
        return _info(row) if row is not None else None

    def credentials(self) -> tuple[Credential, ...]:
        """Every key whose signature is known here, expired sessions among them."""
        found = (self.lookup(row.id) for row in self._table.all() if row.sealed is not None)
        return tuple(credential for credential in found if credential is not None)

    def list(self) -> tuple[KeyInfo, ...]:
        return tuple(_info(row) for row in self._table.all() if row.kind != "session")

    def rows(self) -> tuple[KeyRow, ...]:
        """The lasting keys as they are stored, for ``restore``."""
        return tuple(row for row in self._table.all() if row.kind != "session")

    def restore(self, rows: Iterable[KeyRow]) -> None:
        """Store keys that were sealed with the same cipher. Raises AlreadyExists."""
        for row in rows:
            self._add(row)

    def delete(self, key_id: str) -> None:
        """End a key and every session made from it. Raises NotFound, and Invalid for the last signing key."""
        signing = [row.id for row in self._table.all() if row.kind == "signing"]
        if signing == [key_id]:
            raise Invalid(what=f"key {key_id!r} is the last one that signs; create another before you delete it")
        if not self._table.remove(key_id):
            raise NotFound(kind="key", name=key_id)
        self._forget()

    def end_sessions(self, owner: str) -> None:
        """End the sessions of a job; harmless when there are none."""
        if self._table.remove_owned(owner):
            self._forget()

    def sweep(self) -> None:
        """Remove sessions that expired long ago."""
        if self._table.remove_expired(self._clock.now() - REMEMBERED):
            self._forget()

    def _add(self, row: KeyRow) -> None:
        self._table.add(row)
        self._changed()

    def _forget(self) -> None:
        with self._guard:
            self._known.clear()
        self._changed()

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()

    def _credential(self, row: KeyRow) -> Credential:
        assert row.sealed is not None
        secret, _, token = self._cipher.open(row.sealed).decode().partition("\n")
        role, _, session = row.name.partition("/") if row.kind == "session" else ("", "", "")
        return Credential(row.id, secret, row.principal, token or None, row.expires, role or None, session or None)

    def _seal(self, text: str) -> bytes:
        return self._cipher.seal(text.encode())

    def _access_key(self, prefix: str) -> str:
        return prefix + base64.b32encode(self._entropy(10)).decode()[:16]

    def _secret(self) -> str:
        return base64.urlsafe_b64encode(self._entropy(30)).decode()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _info(row: KeyRow) -> KeyInfo:
    return KeyInfo(row.id, row.kind, row.name, row.created, row.expires)
