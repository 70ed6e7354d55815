"""Arrays for pictures, in memory that pictures before them were in.

A system hands out fresh memory page by page, as it is first written to, and takes large pieces back as soon as they are
let go: of the time to put a smoothed picture of 1280x720 together, that took a third.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import OrderedDict, deque
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIZES, _SPARE, _MOST = 6, 8, 1 << 27
"""Sizes in bytes of which memory is kept, those asked for last; how many pieces of each; and bytes of all that wait to
be used again, but for the size asked for last."""
_LOCK = threading.Lock()
_spare: OrderedDict[int, list[NDArray[np.uint8]]] = OrderedDict()
_back: deque[weakref.ref[Any]] = deque()


class _Loan(weakref.ref[Any]):
    """Comes back when what was lent is gone, by no line of Python: what a signal raises in such a one is lost."""

    __slots__ = ("memory",)
    memory: NDArray[np.uint8]


_loans: dict[int, _Loan] = {}
"""By ``id``, for they are told apart by nothing else."""


def empty(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A new uint8 array of any content, C contiguous. Its memory is used again once neither it nor any view of it is
    left."""
    size = prod(shape)
    with _LOCK:
        while _back:
            loan: Any = _back.popleft()
            _loans.pop(id(loan), None)
            pieces = _spare.get(loan.memory.size, [])
            if len(pieces) < _SPARE:
                pieces.append(loan.memory)
        spare = _spare.setdefault(size, [])
        _spare.move_to_end(size)
        while len(_spare) > _SIZES or (len(_spare) > 1 and sum(each * len(_spare[each]) for each in _spare) > _MOST):
            _spare.popitem(last=False)
        memory = spare.pop() if spare else np.empty(size, np.uint8)
        # Views of views refer to what lies beneath the last array: it has to be this, not the memory itself.
        lent: Any = (ctypes.c_ubyte * size).from_buffer(memory.data)
        loan = _Loan(lent, _back.append)
        loan.memory = memory
        _loans[id(loan)] = loan
    return np.frombuffer(lent, np.uint8).reshape(shape)
