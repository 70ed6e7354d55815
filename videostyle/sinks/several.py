"""Several sinks at once are one sink: a window in front, and behind it what records, streams or plays camera."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from videostyle.channel import Channel
from videostyle.errors import VideoStyleError
from videostyle.frame import Closing, Frame, FrameSink

SLACK = 1
"""Frames that may wait for a sink behind: enough where only the newest counts, as for a camera."""


class SeveralSinks(Closing):
    """Hands each frame to the sink in front, in the thread of ``write``, and to any number behind, each in its own.

    A sink behind never holds the others up: what it is too slow for is dropped, oldest first, counted and noted. Sinks
    behind come and go while frames run, and count time from the first frame that they get. One that fails ends alone:
    it is noted, ``failures`` keeps its error, and the others go on. What fails in front is raised, and so is the last
    failure behind where nothing is in front and nothing else is left.

    front: the sink that sets the pace, None for none.
    ``notes`` is complete once it is closed.

    told: called with a line for people when a sink behind ends by itself; from that sink's thread.
    """

    def __init__(self, front: FrameSink | None = None, *, told: Callable[[str], None] = lambda line: None) -> None:
        self._front = front
        self._told = told
        self._behind: dict[str, _Behind] = {}
        self._ended: list[_Behind] = []
        self.notes: list[str] = []
        self._closed = False

    def start(self, name: str, opener: Callable[[], FrameSink], *, slack: int = SLACK, patience: float = 0.5) -> None:
        """Add a sink behind. A name whose sink runs already is left as it is.

        name: what it is called in notes, and by ``end``. opener: gives the sink; called in the sink's thread, because
        opening an encoder takes longer than a frame. slack: frames that may wait for it.
        patience: seconds that it is given to finish its output in the end.
        """
        if name not in self.running and not self._closed:
            self.end(name)  # one that failed a moment ago
            self._behind[name] = _Behind(name, opener, slack, patience, self._told)

    def end(self, name: str) -> None:
        """Let a sink behind finish what it has, in its own thread, and go. Nothing where none is called so."""
        if name in self._behind:
            behind = self._behind.pop(name)
            behind.channel.end()
            self._ended.append(behind)

    @property
    def running(self) -> tuple[str, ...]:
        """Names of the sinks behind that take frames."""
        return tuple(name for name, behind in self._behind.items() if behind.error is None)

    @property
    def failures(self) -> list[Exception]:
        """The errors of sinks behind, in the order in which the sinks were started."""
        return [behind.error for behind in self._all if behind.error is not None]

    @property
    def output(self) -> str | None:
        """Where the results are, separated by commas; None where there are none."""
        front = None if self._front is None else self._front.output
        outputs = [front, *(behind.output for behind in self._all)]
        return ", ".join(output for output in outputs if output is not None) or None

    def write(self, frame: Frame) -> None:
        """Raises what the front sink raises, or the last failure when no sink is left."""
        for behind in list(self._behind.values()):
            if behind.error is not None:
                self.end(behind.name)
            else:
                behind.channel.put(frame)
        if self._front is not None:
            self._front.write(frame)
        elif self.failures and not self._behind:
            raise self.failures[-1]

    def close(self, complete: bool = True) -> None:
        if self._closed:
            return
        self._closed = True
        for behind in self._all:
            behind.complete = behind.complete and (complete or behind in self._ended)
            behind.channel.end()
        try:
            if self._front is not None:
                self._front.close(complete)
        finally:
            self.notes += self._front.notes if self._front is not None else []
            for behind in self._all:
                late = [] if behind.join() else [f"{behind.name}: did not finish within {behind.patience:g} s"]
                self.notes += behind.all_notes + late

    def _abort(self) -> None:
        self.close(complete=False)

    @property
    def _all(self) -> list[_Behind]:
        return [*self._ended, *self._behind.values()]


class _Behind:
    """One sink with its thread and the frames that wait for it; of one that is done only what it said is kept.

    output: where its result is.
    """

    def __init__(
        self, name: str, opener: Callable[[], FrameSink], slack: int, patience: float, told: Callable[[str], None]
    ) -> None:
        self.name = name
        self.patience = patience
        self.channel: Channel[Frame] = Channel(slack, drop_oldest=True)
        self.output: str | None = None
        self.error: Exception | None = None
        self.complete = True
        self._notes: list[str] = []
        self._told = told
        self._first_pts: int | None = None
        self._thread = threading.Thread(target=self._run, args=(opener,), name=name, daemon=True)
        self._thread.start()

    @property
    def all_notes(self) -> list[str]:
        notes = [f"{self.name}: {note}" for note in self._notes]
        if self.channel.dropped:
            notes.append(f"{self.name}: {self.channel.dropped} frames were dropped, it was slower than they came")
        if self.error is not None:
            notes.append(self._obituary(self.error))
        return notes

    def join(self) -> bool:
        """Whether it ended within its patience; else it is left behind."""
        self._thread.join(self.patience)
        return not self._thread.is_alive()

    def _run(self, opener: Callable[[], FrameSink]) -> None:
        sink: FrameSink | None = None
        try:
            sink = opener()
            self.output, self._notes = sink.output, sink.notes
            for frame in self.channel:
                sink.write(self._from_its_start(frame))
            sink.close(self.complete)
        except Exception as error:
            self.error = error
            self._told(self._obituary(error))
            self._close_after_failure(sink, error)
        finally:
            if sink is not None:
                self.output, self._notes = sink.output, sink.notes
            self.channel.abort()

    def _from_its_start(self, frame: Frame) -> Frame:
        if self._first_pts is None:
            self._first_pts = frame.pts
        return replace(frame, pts=frame.pts - self._first_pts)

    def _close_after_failure(self, sink: FrameSink | None, error: Exception) -> None:
        try:
            if sink is not None:
                sink.close(complete=False)
        except Exception as later:
            error.add_note(f"Later, on the way out: {type(later).__name__}: {later}")

    def _obituary(self, error: Exception) -> str:
        reason = str(error) if isinstance(error, VideoStyleError) else f"{type(error).__name__}: {error}"
        return f"{self.name} ended: {reason}"
