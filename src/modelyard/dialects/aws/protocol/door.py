"""A door of AWS services over a core: what a dialect that speaks AWS's protocols opens.

Owns how the dispatcher is made from what plug-ins are given. Refuses to know the services.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

from modelyard.dialects.aws.protocol.dispatch import AwsDispatcher
from modelyard.dialects.aws.protocol.service import AwsService
from modelyard.dialects.plugin import Core


def aws_door(
    services: Sequence[AwsService], core: Core, threads: Executor, *, takes_rest: bool = False
) -> AwsDispatcher:
    """The dispatcher of ``services``; ``takes_rest`` as there."""
    return AwsDispatcher(
        services=services,
        lookup=core.keys.lookup,
        clock=core.clock,
        ids=core.ids,
        account=core.settings.account_id,
        executor=threads,
        body_limit=core.settings.control_body,
        takes_rest=takes_rest,
        version=core.version,
    )
