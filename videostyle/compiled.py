"""Loops over pixels that no library has, compiled by Numba when first run, and kept for the next time.

All of them let other threads run. Indices are unsigned, for one that might be negative costs more than what is done
with it. What is kept is good for as long as the loop's own file stays as it is: who changes what a loop takes from
another one, ``videostyle.vectors`` above all, is to touch that too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import numba
import numpy as np

_Loop = TypeVar("_Loop", bound=Callable[..., Any])

at = cast(Callable[[Any], int], numba.uintp)
u32 = cast(Callable[[Any], int], numba.uint32)
i32 = cast(Callable[[Any], int], numba.int32)
f32 = cast(Callable[[Any], float], numba.float32)
index = cast(Callable[[Any], int], np.uintp)
single = cast(Callable[[Any], float], np.float32)
"""Of numbers outside of loops, which are of these types in them too."""


def compiled(loop: _Loop) -> _Loop:
    """Kept in a file beside the loop's, or in the user's cache; where neither can be written, compiled in every
    process."""
    return _kept(loop)


def part(loop: _Loop) -> _Loop:
    """A loop that is put into those that call it, where it knows what they call it with."""
    return _kept(loop, forceinline=True, no_cpython_wrapper=True)


def _kept(loop: _Loop, **options: Any) -> _Loop:
    compiler: Any = partial(
        numba.njit, nogil=True, fastmath=True, error_model="numpy", no_cfunc_wrapper=True, **options
    )
    try:
        return cast(_Loop, compiler(cache=True)(loop))
    except RuntimeError:
        return cast(_Loop, compiler()(loop))
