"""Ids never come twice, whoever asks for them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from modelyard.base.ids import RandomIds, is_id


def test_random_ids_differ_over_threads_and_forks() -> None:
    ids = RandomIds()
    ids.new_id()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, "\n".join(ids.new_id() for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 1 << 16).decode().split("\n")
    with ThreadPoolExecutor(8) as threads:
        ours = [made for some in threads.map(lambda _: [ids.new_id() for _ in range(200)], range(8)) for made in some]
    assert len({*theirs, *ours}) == 1700
    assert all(is_id(made) for made in ours)
