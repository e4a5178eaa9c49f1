"""The server's hold on its front: started or adopted, kept alive, told who answers and which keys sign.

Owns when that happens and what of the settings the front goes by. Refuses to know what a front does with it: edge
does.
"""

from __future__ import annotations

import ipaddress
import os

from modelyard.app.house import House
from modelyard.app.layout import Layout
from modelyard.app.loops import Loop
from modelyard.app.settings import Settings
from modelyard.base.clock import SystemClock
from modelyard.base.errors import NotFound
from modelyard.core.deployments.ports import Routes
from modelyard.edge.control import FrontControl
from modelyard.edge.front import Listening
from modelyard.edge.launch import FrontLauncher, FrontOptions
from modelyard.edge.limits import FrontLimits
from modelyard.edge.state import Access
from modelyard.runners.process.sandbox import UNPRIVILEGED


class Front:
    """One for a server's life. ``attach`` names the house whose keys and endpoints it serves, again after a reset."""

    def __init__(self, settings: Settings, layout: Layout) -> None:
        listening = Listening(settings.host, settings.port, settings.tls_cert, settings.tls_key)
        options = FrontOptions(layout.run, listening, settings.front_patience, settings.account_id, settings.region)
        clock = SystemClock()
        self._settings = settings
        self._house: House | None = None
        self._launcher = FrontLauncher(options, clock)
        needed = ("limits", "access", "credentials", "routes")
        self._control = FrontControl(layout.run, self._replace_hung, clock, needed=needed)
        self._keeper = Loop("front", self._keep, 0.2)

    @property
    def routes(self) -> Routes:
        return self._control

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._launcher.address[1]

    def start(self) -> None:
        """See that a front lives, and keep it so. Raises Unavailable, saying why, when it cannot be."""
        self._launcher.ensure()
        self._control.start()
        self._control.configure(_limits(self._settings), _access(self._settings))
        self._keeper.start()

    def attach(self, house: House) -> None:
        """Serve this house's keys from now on."""
        self._house = house
        house.keys.listen(self._tell_keys)
        self._tell_keys()

    def stop(self) -> None:
        """End the front: it answers what it has, then goes."""
        self._keeper.stop()
        self._control.stop()
        self._launcher.stop()

    def _keep(self) -> None:
        self._launcher.ensure()

    def _tell_keys(self) -> None:
        if self._house is not None:
            self._control.set_credentials(self._house.keys.credentials())

    def _replace_hung(self, _endpoint_id: str, socket: str) -> None:
        if self._house is not None:
            try:
                self._house.deployments.report_hung(socket)
            except NotFound:
                return  # its endpoint was deleted meanwhile


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server on that address; of names only ``localhost`` is known to be so."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _limits(settings: Settings) -> FrontLimits:
    names = FrontLimits.__dataclass_fields__
    return FrontLimits(**{name: getattr(settings, name) for name in names})


def answers_anonymous(settings: Settings) -> bool:
    """Whether unsigned calls are answered: as set, else only while listening on loopback."""
    return is_loopback(settings.host) if settings.anonymous is None else settings.anonymous


def _access(settings: Settings) -> Access:
    uids = (UNPRIVILEGED,) if os.geteuid() == 0 else (os.getuid(),)
    return Access(settings.allowed_hosts, settings.cors_origins, answers_anonymous(settings), uids)
