"""The hand-off between two threads: order, bounds, ends and failures."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from videostyle.channel import Channel

PATIENCE = 60.0


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_items_arrive_in_order_and_iteration_ends_with_the_stream() -> None:
    channel: Channel[int] = Channel(2)

    def produce() -> None:
        for number in range(1000):
            assert channel.put(number)
        channel.end()

    with beside(produce):
        assert list(channel) == list(range(1000))
    assert list(channel) == []
    assert channel.dropped == 0


def test_a_full_channel_makes_the_producer_wait() -> None:
    channel: Channel[int] = Channel(2)
    done: list[int] = []

    def produce() -> None:
        for number in range(3):
            channel.put(number)
            done.append(number)

    with beside(produce) as thread:
        thread.join(0.05)
        assert done == [0, 1]
        assert next(channel) == 0
        thread.join(PATIENCE)
        assert done == [0, 1, 2]


def test_what_waits_is_delivered_before_the_end() -> None:
    channel: Channel[str] = Channel(3)
    channel.put("a")
    channel.put("b")
    channel.end()
    assert not channel.put("late")
    assert list(channel) == ["a", "b"]


def test_dropping_the_oldest_never_waits_and_counts() -> None:
    channel: Channel[int] = Channel(2, drop_oldest=True)
    for number in range(5):
        assert channel.put(number)
    channel.end()
    assert list(channel) == [3, 4]
    assert channel.dropped == 3


def test_a_failure_arrives_after_the_items_with_the_traceback_of_its_thread() -> None:
    channel: Channel[int] = Channel(2)

    def breaks_here() -> None:
        raise OSError("cable pulled")

    def produce() -> None:
        channel.put(1)
        try:
            breaks_here()
        except OSError as error:
            channel.fail(error)

    with beside(produce):
        assert next(channel) == 1
        with pytest.raises(OSError, match="cable pulled") as caught:
            next(channel)
    assert "breaks_here" in [entry.name for entry in traceback.extract_tb(caught.value.__traceback__)]


def test_a_failure_stays_a_failure_and_its_traceback_does_not_grow() -> None:
    channel: Channel[int] = Channel(1)
    channel.fail(ValueError("first"))
    channel.fail(ValueError("second"))
    channel.end()
    depths = []
    for _ in range(3):
        with pytest.raises(ValueError, match="first") as caught:
            next(channel)
        depths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert depths[0] == depths[2]


def test_abort_releases_a_producer_that_waits_and_lets_the_items_go() -> None:
    channel: Channel[int] = Channel(1)
    outcome: list[bool] = []
    channel.put(0)
    with beside(lambda: outcome.append(channel.put(1))) as thread:
        thread.join(0.05)
        assert outcome == []
        channel.abort()
    assert outcome == [False]
    assert list(channel) == []


def test_end_and_abort_release_a_consumer_that_waits() -> None:
    for finish in (Channel.end, Channel.abort):
        channel: Channel[int] = Channel(1)
        got: list[list[int]] = []
        with beside(lambda channel=channel, got=got: got.append(list(channel))) as thread:  # type: ignore[misc]
            thread.join(0.05)
            assert got == []
            finish(channel)
        assert got == [[]]


def test_a_channel_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one item"):
        Channel(0)


def test_a_wait_tells_whether_something_can_be_taken() -> None:
    channel: Channel[int] = Channel(1)
    assert not channel.wait(0)
    assert not channel.wait(0.01)
    with beside(lambda: channel.put(1)):
        assert channel.wait(PATIENCE)
    assert next(channel) == 1
    with beside(channel.end):
        assert channel.wait(PATIENCE)
    assert next(channel, None) is None
