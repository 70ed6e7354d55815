"""What the processes of ``videostyle.benchmark`` do: ``python -m videostyle.benchmark.jobs JOB``, a job as JSON.

Every job names its ``kind``, a function of ``JOBS``. Those that run a bank name it by ``bank``, a file, and ``style``,
a mix; either may be null.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videostyle.benchmark.machine import card_mb
from videostyle.benchmark.rates import product
from videostyle.benchmark.serve import Step, serve
from videostyle.engines import PRECISIONS, load_engine
from videostyle.errors import EngineError
from videostyle.library import Library
from videostyle.styles import StyleBank, parse_mix

Job = Mapping[str, Any]
Ready = tuple[Step | None, Callable[[], Mapping[str, Any]]]


def open_bank(job: Job) -> tuple[StyleBank, NDArray[np.float32]]:
    """The bank of a job and the vector of its style: of its last one where none is named."""
    mix = parse_mix(job["style"]) if job["style"] else None
    if job["bank"]:
        bank = StyleBank.load(Path(job["bank"]))
    else:
        assert mix is not None
        bank = Library().bank(mix)
    return bank, bank.styles[-1] if mix is None else bank.vector(mix)


def probe(job: Job) -> Ready:
    """able: the pairs of device and precision that ``engine`` loads the bank for. lacking: the others, and why."""
    bank, _ = open_bank(job)
    able, lacking = list[tuple[str, str]](), list[tuple[str, str, str]]()
    for device in job["devices"]:
        for precision in PRECISIONS[1:]:
            try:
                load_engine(bank, engine=job["engine"], precision=precision, device=device).close()
                able.append((device, precision))
            except EngineError as error:
                lacking.append((device, precision, str(error)))
    return None, lambda: {"able": able, "lacking": lacking}


def auto(job: Job) -> Ready:
    """engine, precision, device: what "auto" makes of this machine."""
    engine = load_engine(open_bank(job)[0])
    return None, lambda: {"engine": engine.name, "precision": engine.precision, "device": engine.device}


def paint(job: Job) -> Ready:
    """A step paints ``batch`` frames of ``size`` with ``engine`` in ``precision`` on ``device``.

    engine, precision, device: what it is, where the job says "auto". card_mb: what that took of the card's memory, in
    10^6 bytes; null on others than CUDA cards.
    """
    before = card_mb(job["device"])
    bank, vector = open_bank(job)
    engine = load_engine(bank, engine=job["engine"], precision=job["precision"], device=job["device"])
    width, height = job["size"]
    frames = np.random.default_rng(0).integers(0, 256, (job["batch"], height, width, 3), np.uint8)

    def about() -> dict[str, Any]:
        now = card_mb(engine.device)
        taken = now - before if now is not None and before is not None else None
        return {"engine": engine.name, "precision": engine.precision, "device": engine.device, "card_mb": taken}

    return partial(engine, frames, vector), about


def rate(job: Job) -> Ready:
    """A step multiplies matrices in ``precision`` on ``device``. operations: those of a step."""
    step, operations = product(job["precision"], job["device"])
    return step, lambda: {"operations": operations}


JOBS = {"probe": probe, "auto": auto, "paint": paint, "rate": rate}

if __name__ == "__main__":
    todo = json.loads(sys.argv[1])
    serve(lambda: JOBS[todo["kind"]](todo))
