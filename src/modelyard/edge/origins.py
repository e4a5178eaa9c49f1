"""Which hosts the front answers for, and which sites a browser may send changing requests from.

Guards against DNS rebinding (a foreign name that resolves to us) and cross-site requests. An IP address as Host
is accepted when it is the one that the client connected to: rebinding needs a name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from functools import lru_cache

from modelyard.core.deployments.ports import Refusal, WireAnswer
from modelyard.edge.heads import Head

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def check_origin(head: Head, local_address: str, hosts: Collection[str], origins: Collection[str]) -> Refusal | None:
    """Why a request may not come in by this name or from that site; None when it may.

    ``hosts`` are names accepted beside loopback's, ``origins`` sites (``https://name:port``) beside our own.
    """
    host = head.named.get(b"host", b"").decode("latin-1").lower()
    if host and not _is_ours(host, local_address, tuple(hosts)):
        return Refusal(
            "wrong_host",
            f"this server does not answer for the host {host!r}; name it in the setting allowed_hosts if it should",
        )
    origin = head.named.get(b"origin")
    if origin is None or (head.method in _SAFE and not head.is_upgrade):
        return None
    site = origin.decode("latin-1").lower()
    if site == f"{head.scheme}://{host}" or site in origins:
        return None
    return Refusal("wrong_origin", f"requests from the site {site!r} are refused; see the setting cors_origins")


@lru_cache(maxsize=1024)
def _is_ours(host: str, local_address: str, hosts: tuple[str, ...]) -> bool:
    name = _name(host)
    if name == "localhost" or name.endswith(".localhost") or name in hosts or host in hosts:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or name == _name(local_address.partition("%")[0])


def _name(host: str) -> str:
    """``[::1]:80`` and ``name:80`` without brackets and port; an address in its shortest form."""
    if host.startswith("["):
        name = host[1:].partition("]")[0]
    else:
        name = host if host.count(":") > 1 else host.partition(":")[0]
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name.removesuffix(".")
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


class Cors:
    """What browsers are told about other sites that the settings allow
    (https://fetch.spec.whatwg.org/#http-cors-protocol). Without such sites: nothing."""

    def __init__(self, origins: Collection[str]) -> None:
        self.origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    def preflight(self, head: Head) -> WireAnswer | None:
        """The answer to a browser that asks whether it may; None when this is no such question."""
        if head.method != "OPTIONS" or b"access-control-request-method" not in head.named:
            return None
        site = self._allowed(head)
        if site is None:
            return None
        wanted = head.named.get(b"access-control-request-headers", b"").decode("latin-1")
        return WireAnswer(
            204,
            (
                ("access-control-allow-origin", site),
                ("access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE"),
                ("access-control-allow-headers", wanted),
                ("access-control-max-age", "600"),
                ("vary", "origin"),
            ),
            b"",
        )

    def fields(self, head: Head) -> bytes:
        """What is added to a response's head."""
        site = self._allowed(head)
        if site is None:
            return b""
        return f"access-control-allow-origin: {site}\r\nvary: origin\r\naccess-control-expose-headers: *\r\n".encode()

    def _allowed(self, head: Head) -> str | None:
        origin = head.named.get(b"origin") if self.origins else None
        if origin is None:
            return None
        site = origin.decode("latin-1")
        return site if site.lower() in self.origins else None
