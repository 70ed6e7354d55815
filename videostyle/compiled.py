"""Loops over pixels that no library has, compiled by Numba when first run, and kept for the next time.

All of them let other threads run. Indices are unsigned, for one that might be negative costs more than what is done
with it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import numba

_Loop = TypeVar("_Loop", bound=Callable[..., Any])

at = cast(Callable[[Any], int], numba.uintp)
u32 = cast(Callable[[Any], int], numba.uint32)
i32 = cast(Callable[[Any], int], numba.int32)
f32 = cast(Callable[[Any], float], numba.float32)


def compiled(loop: _Loop) -> _Loop:
    """Kept in a file beside the loop's, or in the user's cache; where neither can be written, compiled in every
    process."""
    compiler: Any = partial(numba.njit, nogil=True, fastmath=True, error_model="numpy")
    try:
        return cast(_Loop, compiler(cache=True)(loop))
    except RuntimeError:
        return cast(_Loop, compiler()(loop))
