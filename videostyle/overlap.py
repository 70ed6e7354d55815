"""Work on items one after the other, several at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def overlapped(work: Callable[[T], U], items: Iterable[T], workers: int) -> Iterator[U]:
    """``map(work, items)`` in ``workers`` threads: results in order, one item more taken than workers are busy with.

    Items are taken, and results given, in the thread that iterates. An exception of ``work`` comes in its result's
    place and ends the iteration; one of ``items`` comes after the results of all items before it. Left early, it waits
    for what is being worked on.
    """
    source = iter(items)
    waiting: deque[Future[U]] = deque()
    failure: Exception | None = None
    pool = ThreadPoolExecutor(workers, thread_name_prefix="overlapped")
    try:
        while True:
            more = False
            if failure is None:
                try:
                    waiting.append(pool.submit(work, next(source)))
                    more = True
                except StopIteration:
                    pass
                except Exception as error:
                    failure = error
            if not waiting:
                break
            if not more or len(waiting) > workers:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
    if failure is not None:
        raise failure
