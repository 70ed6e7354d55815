"""The asking side of a measurement: a process a case, so that memory is its own and a crash ends nothing else."""

from __future__ import annotations

import json
import math
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from videostyle.errors import EngineError

DEADLINE = 120.0
"""Seconds after which an answer is not waited for any longer."""
JOBS = "videostyle.benchmark.jobs"


@dataclass(frozen=True, slots=True)
class Sample:
    """What some steps took: ms each, cpu_ms of processor time on average, peak_rss_mb so far (see ``serve.sample``)."""

    ms: tuple[float, ...]
    cpu_ms: float
    peak_rss_mb: float | None

    @property
    def median_ms(self) -> float:
        return statistics.median(self.ms)

    @property
    def best_ms(self) -> float:
        return min(self.ms)

    @property
    def p95_ms(self) -> float:
        """What 95 of 100 steps stay at or below."""
        return sorted(self.ms)[math.ceil(0.95 * len(self.ms)) - 1]

    @property
    def fps(self) -> float:
        """Steps a second, one after the other."""
        return 1000 * len(self.ms) / sum(self.ms)


def joined(samples: Sequence[Sample]) -> Sample:
    """One sample of all steps."""
    memory = [sample.peak_rss_mb for sample in samples if sample.peak_rss_mb is not None]
    times = tuple(ms for sample in samples for ms in sample.ms)
    spent = sum(sample.cpu_ms * len(sample.ms) for sample in samples) / len(times)
    return Sample(times, spent, max(memory, default=None))


def in_turn(workers: Sequence[Worker], rounds: int, seconds: float) -> list[Sample]:
    """A sample of each, taken in ``rounds`` parts of so many seconds, all in turn: what drifts, drifts for all."""
    parts = [[worker.sample(seconds) for worker in workers] for _ in range(rounds)]
    return [joined([part[number] for part in parts]) for number in range(len(workers))]


class Worker:
    """A process that runs ``serve`` in ``module``, warm and ready when this returns. ``with`` ends it.

    module: run as ``python -m MODULE JOB``, the job as JSON. python: of which environment. environment: its variables,
    this process's if None.

    about: what the process says of itself. Raises EngineError, with the reason, where it cannot run or ends by itself.
    """

    def __init__(
        self,
        job: Mapping[str, Any],
        module: str = JOBS,
        *,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (a pipe would fill up while nobody reads it)
        self._process = subprocess.Popen(
            [python, "-m", module, json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        try:
            self.about = self._answer()
        except BaseException:
            self.close()
            raise

    def sample(self, seconds: float) -> Sample:
        """Repeat the step for so many seconds."""
        assert self._process.stdin is not None
        try:
            print(seconds, file=self._process.stdin, flush=True)
        except OSError as error:
            raise EngineError(self._end()) from error
        answer = self._answer()
        return Sample(tuple(answer["ms"]), answer["cpu_ms"], answer["peak_rss_mb"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        overdue = threading.Event()

        def give_up() -> None:
            overdue.set()
            self._process.kill()

        patience = threading.Timer(DEADLINE, give_up)
        patience.daemon = True
        try:
            patience.start()
            line = self._process.stdout.readline()
        finally:
            patience.cancel()
        if not line:
            raise EngineError(f"its process said nothing for {DEADLINE:.0f} s" if overdue.is_set() else self._end())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer

    def _end(self) -> str:
        """What ended the process, in one line."""
        code = self._process.wait()
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f"its process ended with exit code {code}: {lines[-1] if lines else 'it said nothing'}"

    def close(self) -> None:
        """End the process; idempotent."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            if pipe is not None:
                with suppress(BrokenPipeError):  # of a question that it did not live to read
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
