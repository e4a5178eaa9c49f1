"""What this installation is composed of beside the core: dialects, runners, kinds of jobs and images, as found.

Owns the order of doors and codecs, the choice of the runner, and that a broken plug-in of others is named in one line
of the log and leaves the rest at work. Refuses to know how plug-ins are found (base/plugins.py).
"""

from __future__ import annotations

import logging
from typing import TypeVar

from modelyard.base.errors import Invalid
from modelyard.base.plugins import Loaded, load_all
from modelyard.core.deployments.ports import Predictions
from modelyard.core.deployments.runners import RunnerPlugin
from modelyard.core.jobs.images import SCRIPT_MODE, ImageFamily, Images

DIALECTS = "modelyard.dialects"
RUNNERS = "modelyard.runners"
IMAGES = "modelyard.images"

_log = logging.getLogger(__name__)
T = TypeVar("T")


def found_predictions() -> tuple[Predictions, ...]:
    """What dialects publish for the front."""
    loaded = load_all(DIALECTS, Predictions, "PREDICTIONS", "invoke", needed=False)
    return tuple(found.value for found in _said(loaded).values)


def found_images() -> tuple[ImageFamily, ...]:
    """The images of script mode and those that plug-ins answer for."""
    loaded = load_all(IMAGES, Images, "IMAGES")
    return (*SCRIPT_MODE, *(family for found in _said(loaded).values for family in found.value.families))


def found_runner(name: str) -> RunnerPlugin:
    """The runner of that name. Raises Invalid naming those there are, and what is wrong with a broken one."""
    loaded = _said(load_all(RUNNERS, RunnerPlugin, "RUNNER", "plugin"))
    runners = {found.plugin.name: found.value for found in loaded.values}
    if name not in runners:
        broken = next((f" ({one.message})" for one in loaded.broken if one.fields["name"] == name), "")
        raise Invalid(what=f"the setting runner is {name!r}, but the runners here are {', '.join(runners)}{broken}")
    return runners[name]


def _said(loaded: Loaded[T]) -> Loaded[T]:
    for error in loaded.broken:
        _log.error("%s", error.message)
    return loaded
