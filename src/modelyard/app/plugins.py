"""What this installation is composed of beside the core: dialects, the runner, kinds of jobs, images, as found.

Owns the order of doors, the choice of the runner, and that a broken plug-in of others is named in one line of the
log and leaves the rest at work. Refuses to know how plug-ins are found (base/plugins.py). Of dialects' predictions
the front asks by itself, because it must load nothing else (app/front.py).
"""

from __future__ import annotations

import logging
from concurrent.futures import Executor

from modelyard.base.errors import Invalid
from modelyard.base.plugins import BrokenPlugin, load_all
from modelyard.core.artifacts.archives import ArchiveLimits
from modelyard.core.deployments.ports import Predictions
from modelyard.core.deployments.runners import RunnerPlugin
from modelyard.core.jobs.images import SCRIPT_MODE, ImageFamily, Images
from modelyard.core.jobs.kinds import JobKind, StagingByKind
from modelyard.core.jobs.ports import Inputs, Staging
from modelyard.dialects.plugin import Core, Dialect, Door

_log = logging.getLogger(__name__)


def broken_plugins() -> tuple[BrokenPlugin, ...]:
    """What cannot be loaded, of others; a dialect that only cannot be opened is not among it."""
    groups = (
        load_all("modelyard.dialects", Dialect, "DIALECT", "routes"),
        load_all("modelyard.dialects", Predictions, "PREDICTIONS", "invoke", needed=False),
        load_all("modelyard.runners", RunnerPlugin, "RUNNER", "plugin"),
        load_all("modelyard.core.jobs.kinds", JobKind, "KIND"),
        load_all("modelyard.images", Images, "IMAGES"),
    )
    named = {(error.fields["group"], error.fields["name"]): error for group in groups for error in group.broken}
    return tuple(named.values())


def open_doors(core: Core, threads: Executor) -> tuple[Door, ...]:
    """The doors of every dialect, in the order in which they are asked."""
    dialects = load_all("modelyard.dialects", Dialect, "DIALECT", "routes")
    opened = dialects.each(lambda dialect: (dialect.order, tuple(dialect.open_doors(core, threads))))
    in_order = sorted(opened.usable(_log), key=lambda one: one.value[0])
    return tuple(door for one in in_order for door in one.value[1])


def found_images() -> tuple[ImageFamily, ...]:
    """The images of script mode and those that plug-ins answer for."""
    published = load_all("modelyard.images", Images, "IMAGES").usable(_log)
    return (*SCRIPT_MODE, *(family for one in published for family in one.value.families))


def staging(inputs: Inputs, account: str, limits: ArchiveLimits) -> Staging:
    """The staging of every kind of job."""
    loaded = load_all("modelyard.core.jobs.kinds", JobKind, "KIND")
    made = loaded.each(lambda kind: kind.staging(inputs, account, limits))
    return StagingByKind({one.plugin.name: one.value for one in made.usable(_log)})


def found_runner(name: str) -> RunnerPlugin:
    """The runner of that name. Raises Invalid, naming those there are and what is wrong with a broken one."""
    loaded = load_all("modelyard.runners", RunnerPlugin, "RUNNER", "plugin")
    runners = {one.plugin.name: one.value for one in loaded.found}
    if name in runners:
        return runners[name]
    broken = "".join(f". {error.message}" for error in loaded.broken if error.fields["name"] == name)
    raise Invalid(what=f"the setting runner is {name!r}, but the runners here are {', '.join(runners)}{broken}")
