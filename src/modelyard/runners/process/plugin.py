"""The process runner as a plug-in: jobs, endpoint workers and environments of this machine over one set of rules.

Owns what of an installation the sandboxes are told. Refuses to run anything: runner.py and pool.py do.
"""

from __future__ import annotations

from modelyard.core.deployments.runners import Place, RunnerPlugin, Site
from modelyard.runners.process.confined import Confined
from modelyard.runners.process.environments import ProcessEnvironments
from modelyard.runners.process.pool import ProcessPool
from modelyard.runners.process.rules import Rules
from modelyard.runners.process.runner import ProcessRunner


def open_place(site: Site) -> Place:
    """This machine."""
    rules = Rules(
        supervisor=site.supervisor,
        hidden=(site.data_dir,),
        server_lock=site.server_lock,
        processes=site.processes,
        file_bytes=site.file_bytes,
        log_bytes=site.log_bytes,
        patience=site.patience,
        allow_unsandboxed=site.allow_unsandboxed,
    )
    environments = ProcessEnvironments(
        site.environments,
        families=site.images,
        indexes=site.package_indexes,
        confine=Confined(rules),
        disk=site.disk,
    )
    runner = ProcessRunner(rules, site.disk, site.clock)
    return Place(runner, ProcessPool(rules, site.disk, site.clock), environments)


RUNNER = RunnerPlugin(open_place)
