"""python -m benchmarks.engines: frames per second of every engine and precision that runs here, beside the floor.

The floor of a frame is its multiplications at the rate of a large matrix product in the same precision, measured in the
same run; there is none for int8. Frames are random bytes; each case warms up for 3 frames and the median of the rest
counts. cpu_ms is the processor time of a frame over all cores, which other programs beside this one change less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import describe
from videostyle.engines import PRECISIONS, installed_engines, load_engine
from videostyle.errors import EngineError
from videostyle.library import Library
from videostyle.net import build
from videostyle.styles import StyleBank, parse_mix

SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
WARMUP = 3


def median_seconds(step: Callable[[], object], runs: int, clock: Callable[[], float] = time.perf_counter) -> float:
    times = []
    for _ in range(WARMUP + runs):
        began = clock()
        step()
        times.append(clock() - began)
    return statistics.median(times[WARMUP:])


def flops(bank: StyleBank, size: tuple[int, int]) -> int:
    """Multiplications and additions of one frame, counted by PyTorch on shapes alone."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        net = build(bank.config).eval()
        net(torch.empty(1, 3, size[1], size[0]), torch.empty(1, bank.styles.shape[1]))
    return int(counter.get_total_flops())


def product_rate(precision: str, device: str, side: int = 2048) -> float:
    """Operations a second of a square matrix product."""
    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))

    def step() -> None:
        torch.matmul(a, b)
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    return 2 * side**3 / median_seconds(step, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", type=Path, help="a bank file")
    parser.add_argument("--engines", default=",".join(installed_engines()))
    parser.add_argument("--style", default=None, help="whose bank to run; the library's first style if left out")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--sizes", default="360p,720p", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    library = Library()
    name = args.style or library.entries()[0].card.name
    bank = StyleBank.load(args.bank) if args.bank else library.bank(parse_mix(name))
    vector = bank.styles[1:2]
    rows = []
    for name in args.engines.split(","):
        for precision in [p for p in PRECISIONS if p != "auto"]:
            try:
                engine = load_engine(bank, engine=name, precision=precision, device=args.device)
            except EngineError as error:
                print(f"{name} {precision}: {error}", file=sys.stderr)
                continue
            rate = product_rate(precision, args.device) if precision != "int8" else None
            for label in args.sizes.split(","):
                width, height = SIZES[label]
                frames = np.random.default_rng(0).integers(0, 255, (args.batch, height, width, 3), np.uint8)
                paint = partial(engine, frames, vector)
                seconds = median_seconds(paint, args.runs) / args.batch
                spent = median_seconds(paint, args.runs, time.process_time) / args.batch
                work = flops(bank, (width, height))
                row = {
                    "engine": name,
                    "precision": precision,
                    "size": label,
                    "ms": 1000 * seconds,
                    "fps": 1 / seconds,
                    "cpu_ms": 1000 * spent,
                    "gflop": work / 1e9,
                    "floor_ms": 1000 * work / rate if rate else None,
                }
                rows.append(row)
                shown = (f"{k} {v:.1f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
                print("  ".join(shown), file=sys.stderr, flush=True)
            engine.close()
    if args.json:
        options = {"batch": args.batch, "warmup": WARMUP, "runs": args.runs}
        print(json.dumps({"machine": describe(args.device), **options, "rows": rows}))


if __name__ == "__main__":
    main()
