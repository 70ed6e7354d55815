"""A bounded hand-off between two threads: items, then an end or an error."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from threading import Condition
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

# Ctrl-C wakes a waiting lock everywhere but on Windows, where it is only seen between two waits.
_PATIENCE = 0.25 if sys.platform == "win32" else None


class Channel(Generic[T]):
    """One producer puts items, one consumer iterates over them; neither gets further ahead than ``depth`` items.

    The producer ends the channel with ``end`` or ``fail``; the consumer leaves it with ``abort``. Whichever comes first
    counts, later ones change nothing. All methods may be called from any thread.

    depth: how many items may wait, at least 1.
    drop_oldest: a full channel lets its oldest item go instead of making the producer wait, for live capture.
    """

    def __init__(self, depth: int, *, drop_oldest: bool = False) -> None:
        if depth < 1:
            raise ValueError(f"a channel holds at least one item, not {depth}")
        self._depth = depth
        self._drop_oldest = drop_oldest
        self._items: deque[T] = deque()
        self._changed = Condition()
        self._closed = False
        self._error: BaseException | None = None
        self._trace: TracebackType | None = None
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many items gave way to newer ones: 0 without ``drop_oldest``."""
        return self._dropped

    def put(self, item: T) -> bool:
        """Hand over one item, waiting for room. False when the channel is over and the item went nowhere."""
        with self._changed:
            while not self._closed and len(self._items) >= self._depth:
                if self._drop_oldest:
                    self._items.popleft()
                    self._dropped += 1
                else:
                    self._changed.wait(_PATIENCE)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def end(self) -> None:
        """No more items: the consumer still gets those that wait, then its iteration ends."""
        self._close(None, discard=False)

    def fail(self, error: BaseException) -> None:
        """No more items: the consumer gets those that wait, then ``error`` with the traceback it has now."""
        self._close(error, discard=False)

    def abort(self) -> None:
        """The consumer wants no more: what waits is let go and a waiting ``put`` returns False."""
        self._close(None, discard=True)

    def wait(self, seconds: float) -> bool:
        """Whether an item, the end or an error can be taken without waiting, now or within ``seconds``."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._items) or self._closed, seconds)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait(_PATIENCE)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error.with_traceback(self._trace)
            raise StopIteration

    def _close(self, error: BaseException | None, *, discard: bool) -> None:
        with self._changed:
            if discard:
                self._items.clear()
            if not self._closed:
                self._closed = True
                if error is not None:
                    self._error, self._trace = error, error.__traceback__
            self._changed.notify_all()
