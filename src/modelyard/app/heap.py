"""The server's heap: what large buffers took goes back to the system when they go.

Owns three settings of the C library's allocator (https://man7.org/linux/man-pages/man3/mallopt.3.html). Left alone it
raises its threshold for mapped blocks to the largest one freed and gives each thread a heap of its own: sixteen
uploads of 1 MB at once leave 70 MB behind.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def settle() -> None:
    """Set them, where the C library has them; to be called before threads start."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 2)
        mallopt(_MMAP_THRESHOLD, 128 << 10)
        mallopt(_TRIM_THRESHOLD, 128 << 10)
