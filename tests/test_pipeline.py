"""The three stages: order, bounds, faults in every stage, stopping, Ctrl-C; and no thread outlives a run."""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.scripted import ScriptedSink, ScriptedSource
from videostyle.errors import SinkError, SourceError
from videostyle.frame import Frame
from videostyle.pipeline import Pipeline, Progress

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) - before == set()


same = iter


def each(paint: Callable[[Frame], Frame]) -> Callable[[Iterator[Frame]], Iterator[Frame]]:
    return partial(map, paint)


def raise_at(index: int, error: BaseException) -> Callable[[int], None]:
    def script(now: int) -> None:
        if now == index:
            raise error

    return script


def wait_for(event: threading.Event) -> bool:
    assert event.wait(PATIENCE)
    return True


def test_every_frame_goes_through_in_order_and_is_counted() -> None:
    source, sink = ScriptedSource(100), ScriptedSink()
    source.notes.append("two frames were damaged")
    seen: list[Progress] = []
    report = Pipeline(source, each(lambda f: replace(f, image=255 - f.image)), sink, seen.append).run()
    assert sink.indices == list(range(100))
    assert (report.frames_in, report.frames_out, report.dropped) == (100, 100, 0)
    assert report.size == (16, 8)
    assert report.output == "scripted"
    assert report.notes == ("two frames were damaged",)
    assert report.fps == pytest.approx(100 / report.seconds)
    assert report.latency_ms.p50 is not None
    assert report.latency_ms.max is not None
    assert 0 < report.latency_ms.p50 <= report.latency_ms.max
    assert [step.frames for step in seen] == list(range(1, 101))
    assert seen[-1].expected == 100
    assert source.closed.is_set()
    assert sink.closed == [True]


def test_an_empty_source_is_an_empty_run() -> None:
    sink = ScriptedSink()
    report = Pipeline(ScriptedSource(0), same, sink).run()
    assert (report.frames_out, report.size, report.latency_ms.p50) == (0, None, None)
    assert sink.closed == [True]


def test_the_report_gives_the_size_that_was_written() -> None:
    def enlarge(frame: Frame) -> Frame:
        return replace(frame, image=np.zeros((30, 40, 3), np.uint8))

    assert Pipeline(ScriptedSource(2), each(enlarge), ScriptedSink()).run().size == (40, 30)


def test_a_slow_sink_holds_the_source_back_to_a_handful_of_frames() -> None:
    images: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []
    ahead: list[int] = []

    def paint(frame: Frame) -> Frame:
        image = frame.image.copy()
        images.extend((weakref.ref(frame.image), weakref.ref(image)))
        return replace(frame, image=image)

    def count(frame: Frame) -> None:
        time.sleep(0.001)
        alive.append(sum(image() is not None for image in images))

    sink = ScriptedSink(count)
    Pipeline(ScriptedSource(200, lambda index: ahead.append(index - len(sink.indices))), each(paint), sink).run()
    assert sink.indices == list(range(200))
    assert 5 <= max(ahead) <= 9
    assert max(alive) <= 12
    assert sum(image() is not None for image in images) == 0


def test_live_capture_drops_the_oldest_and_counts_them() -> None:
    second_is_in_hand, all_captured = threading.Event(), threading.Event()

    def script(index: int) -> None:
        if index == 1:
            wait_for(second_is_in_hand)
        if index == 9:
            all_captured.set()

    def paint(frame: Frame) -> Frame:
        if frame.index == 0:
            second_is_in_hand.set()
            wait_for(all_captured)
            time.sleep(0.05)
        return frame

    sink = ScriptedSink()
    report = Pipeline(ScriptedSource(10, script, live=True), each(paint), sink).run()
    assert sink.indices == [0, 9]
    assert (report.frames_in, report.frames_out, report.dropped) == (10, 2, 8)


def test_a_live_source_waits_for_a_slow_sink_without_dropping_styled_frames() -> None:
    styled: list[int] = []

    def paint(frame: Frame) -> Frame:
        styled.append(frame.index)
        return frame

    sink = ScriptedSink(lambda frame: time.sleep(0.01))
    report = Pipeline(ScriptedSource(100, live=True), each(paint), sink).run()
    assert sink.indices == styled
    assert report.frames_out + report.dropped == report.frames_in == 100


def test_a_source_that_breaks_is_raised_after_what_it_gave_was_written() -> None:
    sink = ScriptedSink()
    pipeline = Pipeline(ScriptedSource(9, raise_at(5, SourceError("damaged at 0:03"))), same, sink)
    with pytest.raises(SourceError, match="damaged at 0:03") as caught:
        pipeline.run()
    assert "script" in [entry.name for entry in traceback.extract_tb(caught.value.__traceback__)]
    assert sink.indices == [0, 1, 2, 3, 4]
    assert pipeline.frames_out == 5
    assert sink.closed == [False]


@pytest.mark.parametrize("live", [False, True])
def test_a_filter_that_breaks_ends_the_run(live: bool) -> None:
    def breaks_at_three(frame: Frame) -> Frame:
        if frame.index >= 3:
            raise ZeroDivisionError("in the net")
        return frame

    source, sink = ScriptedSource(10**9, lambda index: time.sleep(0.001), live=live), ScriptedSink()
    with pytest.raises(ZeroDivisionError, match="in the net") as caught:
        Pipeline(source, each(breaks_at_three), sink).run()
    assert "breaks_at_three" in [entry.name for entry in traceback.extract_tb(caught.value.__traceback__)]
    assert source.closed.is_set()
    assert sink.closed == [False]
    assert len(sink.indices) <= 3


@pytest.mark.parametrize("live", [False, True])
def test_a_sink_that_breaks_ends_the_run(live: bool) -> None:
    def full_disk(frame: Frame) -> None:
        raise SinkError("no space left")

    source, sink = ScriptedSource(10**9, live=live), ScriptedSink(full_disk)
    with pytest.raises(SinkError, match="no space left") as caught:
        Pipeline(source, same, sink).run()
    assert "full_disk" in [entry.name for entry in traceback.extract_tb(caught.value.__traceback__)]
    assert source.closed.is_set()
    assert sink.closed == [False]


def test_progress_that_breaks_ends_the_run() -> None:
    def broken(step: Progress) -> None:
        raise RuntimeError("terminal gone")

    sink = ScriptedSink()
    with pytest.raises(RuntimeError, match="terminal gone"):
        Pipeline(ScriptedSource(10**9), same, sink, broken).run()
    assert sink.closed == [False]


def test_a_breaking_filter_ends_a_source_that_waits_for_a_frame() -> None:
    source = ScriptedSource(2, lambda index: index == 1 and wait_for(source.closed))

    def broken(frame: Frame) -> Frame:
        raise ValueError("first frame")

    with pytest.raises(ValueError, match="first frame"):
        Pipeline(source, each(broken), ScriptedSink()).run()


def test_the_first_of_two_failures_is_raised_and_names_the_other() -> None:
    source_broke = threading.Event()

    def script(index: int) -> None:
        if index == 1:
            source_broke.set()
            raise SourceError("first")

    def late(frame: Frame) -> None:
        wait_for(source_broke)
        time.sleep(0.02)
        raise SinkError("second")

    with pytest.raises(SourceError, match="first") as caught:
        Pipeline(ScriptedSource(2, script), same, ScriptedSink(late)).run()
    assert caught.value.__notes__ == ["Later, on the way out: SinkError: second"]


class FailsToClose(ScriptedSink):
    def close(self, complete: bool = True) -> None:
        super().close(complete)
        raise SinkError("cannot finish the file")


def test_an_output_that_cannot_be_finished_is_an_error() -> None:
    sink = FailsToClose()
    with pytest.raises(SinkError, match="cannot finish the file"):
        Pipeline(ScriptedSource(3), same, sink).run()
    assert sink.closed == [True]


def test_stop_writes_what_was_captured_and_completes_the_output() -> None:
    sink = ScriptedSink()
    pipeline = Pipeline(ScriptedSource(10**9), same, sink, lambda step: pipeline.stop() if step.frames == 5 else None)
    report = pipeline.run()
    assert report.frames_out == report.frames_in
    assert sink.indices == list(range(report.frames_out))
    assert 5 <= report.frames_out <= 15
    assert sink.closed == [True]


def test_stop_lets_go_of_what_a_live_source_has_captured() -> None:
    second_is_painted, third_is_captured = threading.Event(), threading.Event()

    def script(index: int) -> None:
        if index == 2:
            wait_for(second_is_painted)
        if index == 3:
            third_is_captured.set()
            wait_for(source.closed)

    def paint(frame: Frame) -> Frame:
        if frame.index == 1:
            second_is_painted.set()
            wait_for(third_is_captured)
            pipeline.stop()
        return frame

    source, sink = ScriptedSource(10, script, live=True), ScriptedSink()
    pipeline = Pipeline(source, each(paint), sink)
    report = pipeline.run()
    assert sink.indices[-1] == 1
    assert report.frames_in == 3
    assert sink.closed == [True]


def test_while_no_frame_comes_there_is_time_for_something_else() -> None:
    calls: list[int] = []

    def idle() -> None:
        calls.append(len(sink.indices))
        if calls.count(1) == 3:
            pipeline.stop()

    source = ScriptedSource(5, lambda index: index == 1 and wait_for(source.closed))
    sink = ScriptedSink()
    pipeline = Pipeline(source, same, sink, idle=idle)
    assert pipeline.run().frames_out == 1
    assert calls.count(1) >= 3
    assert sink.closed == [True]


def test_something_else_that_breaks_ends_the_run() -> None:
    def broken() -> None:
        raise RuntimeError("window gone")

    source = ScriptedSource(5, lambda index: wait_for(source.closed))
    with pytest.raises(RuntimeError, match="window gone"):
        Pipeline(source, same, ScriptedSink(), idle=broken).run()


def test_stop_from_another_thread_ends_a_source_that_waits() -> None:
    source = ScriptedSource(5, lambda index: index == 2 and wait_for(source.closed))
    sink = ScriptedSink()
    pipeline = Pipeline(source, same, sink)
    later = threading.Timer(0.05, pipeline.stop)
    later.start()
    report = pipeline.run()
    later.join()
    assert report.frames_out == 2
    assert sink.closed == [True]


def test_stop_before_the_run_makes_an_empty_one() -> None:
    pipeline = Pipeline(ScriptedSource(5), same, ScriptedSink())
    pipeline.stop()
    assert pipeline.run().frames_out == 0


def test_a_run_in_another_thread_leaves_signals_alone() -> None:
    reports: list[int] = []
    pipeline = Pipeline(ScriptedSource(3), same, ScriptedSink())
    thread = threading.Thread(target=lambda: reports.append(pipeline.run().frames_out))
    thread.start()
    thread.join(PATIENCE)
    assert reports == [3]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_that_reaches_the_sink_closes_it_as_incomplete() -> None:
    def interrupt(frame: Frame) -> None:
        if frame.index == 2:
            raise KeyboardInterrupt

    source, sink = ScriptedSource(10**9), ScriptedSink(interrupt)
    with pytest.raises(KeyboardInterrupt):
        Pipeline(source, same, sink).run()
    assert source.closed.is_set()
    assert sink.closed == [False]


def test_a_stage_that_does_not_end_is_left_behind_and_named() -> None:
    release = threading.Event()
    source = ScriptedSource(2, lambda index: index == 1 and release.wait(PATIENCE))

    def broken(frame: Frame) -> Frame:
        raise ValueError("at once")

    pipeline = Pipeline(source, each(broken), ScriptedSink(), grace=0.05)
    before = set(threading.enumerate())
    with pytest.raises(ValueError, match="at once"):
        pipeline.run()
    (left,) = set(threading.enumerate()) - before
    assert left.name == "capture"
    release.set()
    left.join(PATIENCE)


INTERRUPTED = """
import json, sys, threading, time
from tests.scripted import ScriptedSink, ScriptedSource
from videostyle.pipeline import Pipeline

halves = []
def slow_write(frame):
    halves.append("begun")
    print("writing", flush=True)
    time.sleep(0.3)
    halves.append("done")

source = ScriptedSource(10**9, {script})
sink = ScriptedSink(slow_write)
try:
    Pipeline(source, iter, sink).run()
except KeyboardInterrupt:
    print(json.dumps({{
        "closed": sink.closed, "source": source.closed.is_set(), "written": len(sink.indices),
        "halves": halves.count("begun") - halves.count("done"), "threads": threading.active_count(),
    }}))
    sys.exit(130)
"""


BACKGROUND = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.default_int_handler)
"""
"""As a shell starts a job in the background, and the program takes SIGTERM."""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("script", ["lambda index: None", "lambda index: index == 1 and source.closed.wait(20)"])
@pytest.mark.parametrize(("before", "number"), [("", signal.SIGINT), (BACKGROUND, signal.SIGTERM)])
def test_ctrl_c_finishes_the_frame_in_hand_and_closes_both_ends(
    script: str, before: str, number: signal.Signals
) -> None:
    root = Path(__file__).parent.parent
    program = [sys.executable, "-c", before + INTERRUPTED.format(script=script)]
    with subprocess.Popen(program, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
        said = process.stdout.read()
        assert process.wait(PATIENCE) == 130
    outcome = json.loads(said.splitlines()[-1])
    assert outcome == {"closed": [False], "source": True, "written": 1, "halves": 0, "threads": 1}


def test_the_pipeline_imports_nothing_heavy() -> None:
    program = "import sys, videostyle.pipeline; print([m for m in ('torch', 'cv2', 'av') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert ast.literal_eval(said) == []
