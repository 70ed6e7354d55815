"""Several sinks at once: none waits for another, each fails alone, and all are finished."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from tests.scripted import ScriptedSink, ScriptedSource, frame
from videostyle.errors import SinkError
from videostyle.frame import Frame
from videostyle.pipeline import Pipeline
from videostyle.sinks.several import SeveralSinks

PATIENCE = 10.0


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) - before == set()


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@dataclass
class Gate:
    """A script that lets a sink take nothing until it is opened."""

    open: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)

    def __call__(self, now: Frame) -> None:
        self.waiting.set()
        assert self.open.wait(PATIENCE)


def fail(now: Frame) -> None:
    if now.index == 2:
        raise SinkError("the disk is full")


def test_each_gets_every_frame_in_order_where_it_keeps_up() -> None:
    front, behind = ScriptedSink(), ScriptedSink()
    several = SeveralSinks(front)
    several.start("recording", lambda: behind, slack=100)
    for index in range(50):
        several.write(frame(index))
    several.close()
    assert front.indices == behind.indices == list(range(50))
    assert front.closed == behind.closed == [True]
    assert several.output == "scripted, scripted"
    assert several.notes == []


def test_what_has_ended_is_not_kept_in_memory() -> None:
    several, done = SeveralSinks(ScriptedSink()), ScriptedSink()
    several.start("recording", partial(iter([done]).__next__))
    several.write(frame(0))
    several.end("recording")
    gone = weakref.ref(done)
    del done
    until(lambda: gc.collect() >= 0 and gone() is None)
    assert several.output == "scripted, scripted"
    several.close()


def test_a_stalled_sink_holds_nobody_up_and_gets_the_newest_frame_afterwards() -> None:
    gate = Gate()
    front, stalled = ScriptedSink(), ScriptedSink(gate)
    several = SeveralSinks(front)
    several.start("virtual camera", lambda: stalled)
    several.write(frame(0))
    assert gate.waiting.wait(PATIENCE)
    for index in range(1, 200):
        several.write(frame(index))
    assert front.indices == list(range(200))
    gate.open.set()
    several.close()
    assert stalled.indices == [0, 199]
    assert several.notes == ["virtual camera: 198 frames were dropped, it was slower than they came"]


def test_one_that_never_comes_back_is_left_behind_and_named() -> None:
    gate = Gate()
    several = SeveralSinks(ScriptedSink())
    several.start("stream", lambda: ScriptedSink(gate), patience=0.05)
    several.write(frame(0))
    assert gate.waiting.wait(PATIENCE)
    several.close()
    assert several.notes == ["stream: did not finish within 0.05 s"]
    gate.open.set()
    until(lambda: all(thread.name != "stream" for thread in threading.enumerate()))


def test_one_that_fails_ends_alone_and_is_not_forgotten() -> None:
    said: list[str] = []
    front, broken, other = ScriptedSink(), ScriptedSink(fail), ScriptedSink()
    several = SeveralSinks(front, told=said.append)
    several.start("recording", lambda: broken, slack=100)
    several.start("stream", lambda: other, slack=100)
    for index in range(3):
        several.write(frame(index))
    until(lambda: "recording" not in several.running)
    for index in range(3, 9):
        several.write(frame(index))
    assert several.running == ("stream",)
    several.close()
    assert front.indices == other.indices == list(range(9))
    assert broken.closed == [False]
    assert said == several.notes == ["recording ended: the disk is full"]
    assert [str(error) for error in several.failures] == ["the disk is full"]


def test_one_that_cannot_open_fails_like_any_other() -> None:
    def refuse() -> ScriptedSink:
        raise SinkError("there is no virtual camera here")

    several = SeveralSinks(ScriptedSink())
    several.start("virtual camera", refuse)
    until(lambda: several.failures)
    several.write(frame(0))
    several.start("virtual camera", ScriptedSink)
    assert several.running == ("virtual camera",)
    several.close()
    assert len(several.failures) == 1


def test_with_nothing_left_the_last_failure_is_raised() -> None:
    several = SeveralSinks()
    several.start("recording", lambda: ScriptedSink(fail))
    several.write(frame(2))
    until(lambda: several.failures)
    with pytest.raises(SinkError, match="the disk is full"):
        several.write(frame(3))
    several.close(complete=False)


def test_one_that_cannot_be_finished_is_a_failure() -> None:
    class Unfinished(ScriptedSink):
        def close(self, complete: bool = True) -> None:
            super().close(complete)
            raise SinkError("cannot finish the file")

    several = SeveralSinks(ScriptedSink())
    several.start("recording", Unfinished)
    several.close()
    assert several.notes == ["recording ended: cannot finish the file"]
    assert several.failures[0].__notes__ == ["Later, on the way out: SinkError: cannot finish the file"]


def test_what_fails_in_front_ends_the_run_and_leaves_the_others_marked_as_cut_short() -> None:
    behind = ScriptedSink()
    several = SeveralSinks(ScriptedSink(fail))
    several.start("recording", lambda: behind)
    with pytest.raises(SinkError, match="the disk is full"), several:
        several.write(frame(2))
    assert behind.closed == [False]


def test_sinks_come_and_go_and_count_from_their_own_first_frame() -> None:
    times: list[int] = []
    first, second = ScriptedSink(), ScriptedSink(lambda now: times.append(now.pts))
    several = SeveralSinks()
    several.start("recording", lambda: first, slack=100)
    for index in range(5):
        several.write(frame(index))
    several.end("recording")
    several.start("recording", lambda: second, slack=100)
    for index in range(5, 8):
        several.write(frame(index))
    several.end("recording")
    several.end("recording")
    several.write(frame(8))
    until(lambda: second.closed)
    several.close(complete=False)
    assert first.indices == [0, 1, 2, 3, 4]
    assert second.indices == [5, 6, 7]
    assert times == [0, 1, 2]
    assert first.closed == second.closed == [True], "ended on purpose, before the run was cut short"


def test_it_is_a_sink_of_a_pipeline_and_closes_once() -> None:
    front, behind = ScriptedSink(), ScriptedSink()
    several = SeveralSinks(front)
    several.start("recording", lambda: behind, slack=100)
    report = Pipeline(ScriptedSource(20), iter, several).run()
    several.close()
    assert report.frames_out == 20
    assert behind.indices == list(range(20))
    assert behind.closed == [True]
