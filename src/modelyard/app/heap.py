"""The server's heap: what large buffers took goes back to the system when they go.

Owns three settings of the C library's allocator (https://man7.org/linux/man-pages/man3/mallopt.3.html). Left alone it
raises its threshold for mapped blocks to the largest one freed and gives each thread a heap of its own: sixteen
uploads of 1 MB at once leave 70 MB behind.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def for_starting() -> None:
    """While much is read once: every larger block is mapped by itself and leaves no hole. Before threads start."""
    _set({_ARENA_MAX: 2, _MMAP_THRESHOLD: 128 << 10, _TRIM_THRESHOLD: 128 << 10})


def for_serving() -> None:
    """While buffers of up to 1 MB come and go: they are used again, for a mapped one costs a fault for each page."""
    _set({_MMAP_THRESHOLD: 4 << 20, _TRIM_THRESHOLD: 4 << 20})


def _set(values: dict[int, int]) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        for name, value in values.items():
            mallopt(name, value)
