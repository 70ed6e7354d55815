"""python -m benchmarks.training: time and memory of a training step, with and without gradient checkpointing.

Each case runs in a process of its own, in turn, on random photos: peak resident memory before the first step, what the
steps add to it (on CUDA: peak allocated memory), and the median time of a step after two steps of warm-up.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe


def measure(args: argparse.Namespace, *, checkpointing: bool) -> dict[str, float]:
    """One case, in this process."""
    import numpy as np
    import torch

    from videostyle.perceptual import load_perceptual
    from videostyle.pictures import save_picture
    from videostyle.stats import peak_rss_mb
    from videostyle.styles import StyleCard
    from videostyle.train import Trainer
    from videostyle.train_options import StyleSpec, TrainOptions

    options = TrainOptions(
        batch=args.batch,
        crop=args.crop,
        photo_side=(args.crop, 2 * args.crop),
        precision=args.precision,
        checkpointing=checkpointing,
        identity_share=0.0,
    )
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "photo.png"
        save_picture(picture, rng.integers(0, 255, (args.crop, args.crop, 3), np.uint8))
        specs = [StyleSpec(picture, StyleCard("noise"))]
        perceptual = load_perceptual(args.perceptual)
        trainer = Trainer(
            specs, Path(folder), Path(folder) / "work", options, perceptual=perceptual, device=args.device
        )
        before = peak_rss_mb() or 0.0
        photos = torch.rand(args.batch, 3, args.crop, args.crop, device=args.device)
        times = []
        for _ in range(2 + args.steps):
            began = time.perf_counter()
            trainer.update(photos)
            times.append(time.perf_counter() - began)
    peak = peak_rss_mb() or 0.0
    if args.device.startswith("cuda"):
        before, peak = 0.0, torch.cuda.max_memory_allocated() / 1e6
    return {"step_ms": statistics.median(times[2:]) * 1000, "before_mb": before, "step_mb": peak - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--perceptual", default=os.environ.get("VIDEOSTYLE_PERCEPTUAL"))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", choices=("plain", "checkpointing"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(args, checkpointing=args.case == "checkpointing")))
        return
    cases = {}
    for case in ("plain", "checkpointing"):
        command = [sys.executable, "-m", "benchmarks.training", *sys.argv[1:], "--case", case]
        cases[case] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"{case:14}" + "  ".join(f"{k} {v:8.1f}" for k, v in cases[case].items()), file=sys.stderr)
    saved = 1 - cases["checkpointing"]["step_mb"] / cases["plain"]["step_mb"]
    slower = cases["checkpointing"]["step_ms"] / cases["plain"]["step_ms"]
    print(f"checkpointing: {saved:.0%} less memory for a step, at {slower:.2f} times the time a step", file=sys.stderr)
    if args.json:
        shape = {"batch": args.batch, "crop": args.crop, "precision": args.precision, "warmup": 2, "steps": args.steps}
        print(json.dumps({"machine": describe(args.device), **shape, **cases, "saved": saved, "slower": slower}))


if __name__ == "__main__":
    main()
