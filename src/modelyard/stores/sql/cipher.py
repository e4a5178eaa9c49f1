"""Secrets at rest: AES-256-GCM under a key file of mode 0600 (NIST SP 800-38D).

Owns the key file. Refuses to know what it seals; a lost file makes every sealed secret unreadable for good.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from modelyard.base.disk import Disk, write_durably


class FileCipher:
    """Thread-safe. The key is made at first use and never leaves its file."""

    def __init__(self, disk: Disk, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            write_durably(disk, path, os.urandom(32))
        self._aead = AESGCM(path.read_bytes())

    def seal(self, secret: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._aead.encrypt(nonce, secret, None)

    def open(self, sealed: bytes) -> bytes:
        try:
            return self._aead.decrypt(sealed[:12], sealed[12:], None)
        except InvalidTag as error:
            raise ValueError("this secret was sealed under another key file") from error
