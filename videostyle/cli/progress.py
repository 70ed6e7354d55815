"""How far a run is: a bar where stderr is a terminal, else a line now and then. Never on stdout."""

from __future__ import annotations

import sys
from time import perf_counter
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from videostyle.pipeline import Progress

REFRESH_EVERY = 0.1
LINE_EVERY = 10.0
"""Seconds between two looks of the bar, and between two lines where there is no terminal."""


class RunProgress:
    """Takes the ``Progress`` of a pipeline. ``with`` clears the bar away at the end, whatever happened.

    stream: where to, stderr if None. every: seconds between two signs of life, None for what suits the stream.
    """

    def __init__(self, stream: TextIO | None = None, *, every: float | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._every = (REFRESH_EVERY if self._terminal else LINE_EVERY) if every is None else every
        self._bar: Bar | None = None
        self._shown = perf_counter()

    def __enter__(self) -> Self:
        if self._terminal:
            # Without a refresh thread of its own: a run tells often enough, and no thread is left to leak.
            self._bar = Bar(
                TextColumn("{task.fields[frames]}"),
                BarColumn(),
                TextColumn("{task.fields[pace]}"),
                TimeRemainingColumn(compact=True),
                console=Console(file=self._stream),
                auto_refresh=False,
                transient=True,
            )
            self._bar.add_task("", total=None, frames="starting", pace="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, step: Progress) -> None:
        now = perf_counter()
        if now - self._shown < self._every:
            return
        self._shown = now
        pace = f"{step.frames / step.seconds:.1f} fps"
        if step.dropped:
            pace += f", {step.dropped} dropped"
        # A container's own count of frames is only a hint.
        expected = None if step.expected is None or step.frames > step.expected else step.expected
        frames = f"{step.frames} frames" if expected is None else f"{step.frames} of {expected} frames"
        if self._bar is not None:
            (task,) = self._bar.task_ids
            self._bar.update(task, total=expected, completed=step.frames, frames=frames, pace=pace, refresh=True)
            return
        left = "" if expected is None else f", {remaining(step, expected)} left"
        print(f"{frames}, {pace}{left}", file=self._stream, flush=True)


class ShareProgress:
    """How much of a run that tells its own time is over. ``with`` clears the bar away at the end, whatever happened.

    stream, every: as of ``RunProgress``.
    """

    def __init__(self, stream: TextIO | None = None, *, every: float | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._every = LINE_EVERY if every is None else every
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
        self._bar = Bar(*columns, console=Console(file=self._stream), transient=True, disable=not self._stream.isatty())
        self._task = self._bar.add_task("starting", total=1, left="")
        self._shown = perf_counter()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, done: float, seconds_left: float, text: str) -> None:
        """done: in [0, 1]. text: how it stands."""
        left = f"{clock(seconds_left)} left"
        self._bar.update(self._task, completed=done, description=text, left=left)
        now = perf_counter()
        if self._bar.disable and now - self._shown >= self._every:
            self._shown = now
            print(f"{text}, {left}", file=self._stream, flush=True)


def remaining(step: Progress, expected: int) -> str:
    """The time that is left at the pace so far, as h:mm:ss or m:ss."""
    return clock((expected - step.frames) * step.seconds / step.frames)


def clock(time: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    seconds = round(time)
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
