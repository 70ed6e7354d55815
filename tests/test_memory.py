"""Memory that is used again: never while anything of it is in use."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from videostyle import memory
from videostyle.memory import empty


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_spare", "_loans", "_back"):
        monkeypatch.setattr(memory, name, type(getattr(memory, name))())


def place(array: NDArray[np.uint8]) -> int:
    return int(array.__array_interface__["data"][0])


def test_what_was_let_go_is_used_again_and_what_is_held_is_not() -> None:
    first = empty((30, 40, 3))
    assert first.shape == (30, 40, 3)
    assert first.dtype == np.uint8
    assert first.flags.c_contiguous
    assert first.flags.writeable
    there = place(first)
    second = empty((40, 30, 3))
    assert place(second) != there
    del first
    assert place(empty((3600,))) == there


def test_a_view_of_a_view_holds_what_it_shows() -> None:
    picture = empty((30, 40, 4))
    picture[:] = 7
    row = picture[5:6].reshape(-1).view(np.uint32)[3:9]
    pixels = row.data
    del picture, row
    for _ in range(3):
        empty((30, 40, 4))[:] = 9
    assert np.asarray(pixels).view(np.uint8).tolist() == [7] * 24


def test_no_more_is_kept_than_a_few_pieces_of_a_few_sizes() -> None:
    for size in range(1, 20):
        held = [empty((size,)) for _ in range(20)]
        del held
    last = empty((19,))
    assert last.size == 19
    assert list(memory._spare) == list(range(20 - memory._SIZES, 20))
    assert [len(pieces) for pieces in memory._spare.values()] == [
        *[memory._SPARE] * (memory._SIZES - 1),
        memory._SPARE - 1,
    ]
    assert len(memory._loans) == 1


def test_threads_never_share_a_piece() -> None:
    wrong = []

    def work(number: int) -> None:
        for _ in range(2000):
            mine = empty((64,))
            mine[:] = number
            if (mine != number).any():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_nothing_may_be_asked_for() -> None:
    assert empty((0, 40, 3)).size == 0
