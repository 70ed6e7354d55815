"""The measuring side of a ``Worker``: a process that repeats one step as often as it is told.

It needs the standard library alone, so that it measures programs in environments of their own, too.

One JSON object a line goes out: first what is measured, or {"error": reason}; then, for each number of seconds that
comes in as a line, what repeating the step for that long took.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from time import perf_counter, process_time
from typing import Any

from videostyle.errors import VideoStyleError
from videostyle.stats import peak_rss_mb

WARMUP, WARMUP_SECONDS = 3, 2.0
"""Steps before the first one that counts; fewer where they take longer than this."""
LEAST = 3
"""Steps of a sample, however long they take."""

Step = Callable[[], object]
Start = Callable[[], tuple[Step | None, Callable[[], Mapping[str, Any]]]]
"""Makes ready: the step, None where there is nothing to repeat, and what to say of it once it is warm."""


def serve(start: Start) -> None:
    """Answer until stdin ends. A VideoStyleError becomes the last answer; what else goes wrong ends the process."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not come between answers

    def tell(answer: Mapping[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    try:
        step, about = start()
        if step is not None:
            warm_up(step)
        tell(about())
        for line in sys.stdin:
            assert step is not None
            tell(sample(step, float(line)))
    except VideoStyleError as error:
        tell({"error": str(error)})


def warm_up(step: Step) -> None:
    """Let what is compiled, allocated and chosen at first be over."""
    began = perf_counter()
    for _ in range(WARMUP):
        step()
        if perf_counter() - began > WARMUP_SECONDS:
            return


def sample(step: Step, seconds: float) -> dict[str, Any]:
    """Repeat ``step`` for so many seconds, ``LEAST`` times at least.

    Returns ms: what each took; cpu_ms: processor time of a step over all cores, on average; peak_rss_mb: the largest
    resident memory of this process so far, in 10^6 bytes.
    """
    times = list[float]()
    spent, began = process_time(), perf_counter()
    while len(times) < LEAST or perf_counter() - began < seconds:
        start = perf_counter()
        step()
        times.append(1000 * (perf_counter() - start))
    spent = process_time() - spent
    return {"ms": times, "cpu_ms": 1000 * spent / len(times), "peak_rss_mb": peak_rss_mb()}
