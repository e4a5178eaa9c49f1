"""The threads that S3 works in: enough that what arrives together can be committed together.

Owns their number. Refuses to know what runs in them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="s3")


def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    """The result of ``work``, which must not need the caller's context variables."""
    return asyncio.get_running_loop().run_in_executor(_THREADS, partial(work, *args, **kwargs))
