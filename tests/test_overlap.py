"""Several items at a time: order, how far ahead, and errors on either side."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from videostyle.overlap import overlapped


def test_results_come_in_order_however_long_each_takes() -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * item

    assert list(overlapped(work, range(20), 3)) == [item * item for item in range(20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_as_many_at_a_time_as_there_are_workers_and_one_taken_more(workers: int) -> None:
    together = threading.Barrier(workers, timeout=30)
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(4 * workers):
            taken.append(item)
            yield item

    def work(item: int) -> int:
        together.wait()  # breaks where fewer work at a time
        return item

    for index, item in enumerate(overlapped(work, items(), workers)):
        assert item == index
        assert len(taken) <= index + workers + 1


def test_what_fails_comes_in_its_place_and_ends_it() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    results = overlapped(work, range(10), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert list(results) == []


def test_where_items_end_in_an_error_all_before_it_are_done() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise OSError("cable")

    results = overlapped(lambda item: item, items(), 2)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="cable"):
        next(results)


def test_left_early_it_leaves_no_thread() -> None:
    before = threading.active_count()
    results = overlapped(lambda item: item, range(100), 2)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
