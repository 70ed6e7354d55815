"""python -m benchmarks.engines: frames per second of every engine and precision that runs here, beside the floor.

The floor of a frame is the multiplications and additions of its convolutions at the rate at which this machine
multiplies matrices at best in the same precision (``videostyle.benchmark.rates``). The last row of a size is the usual
transformer net in eager PyTorch (``benchmarks.fast_neural_style``). All of them are processes that are warm before the
first one is measured, and take turns, so that a machine that becomes slower does so for all. --beside does it with
another bank, too, a student's teacher say.

Frames are random bytes. ms is the median; cpu_ms is the processor time of a frame over all cores, which other programs
beside this one change less; rss_mb is the largest resident memory of the process in 10^6 bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from videostyle.benchmark.serve import WARMUP
from videostyle.benchmark.work import flops
from videostyle.benchmark.worker import Sample, Worker, in_turn
from videostyle.cli.bench import SIZES
from videostyle.engines import installed_engines
from videostyle.errors import EngineError
from videostyle.library import Library
from videostyle.styles import NetConfig, parse_mix, read_label
from videostyle.transformer_net import CONFIG as USUAL

REFERENCE = {"engine": "eager", "net": "fast_neural_style", "precision": "fp32"}


def able(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Engines and precisions that run the bank on the device; the others are told."""
    for name in args.engines.split(","):
        try:
            with Worker(job(args, "probe", engine=name, devices=[args.device])) as worker:
                found = worker.about
        except EngineError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        for _, precision, reason in found["lacking"]:
            print(f"{name} {precision}: {reason}", file=sys.stderr)
        yield from ((name, precision) for _, precision in found["able"])


def job(args: argparse.Namespace, kind: str, **values: Any) -> dict[str, Any]:
    return {"kind": kind, "bank": str(args.bank) if args.bank else None, "style": args.style, **values}


def measure(args: argparse.Namespace, able: list[tuple[str, str]], nets: dict[str, NetConfig], label: str) -> list[Any]:
    """The rows of one size. nets: by their names in the rows, the networks of the bank and of the one beside it."""
    size = SIZES[label]
    precisions = list(dict.fromkeys(precision for _, precision in able))
    cases = [(net, name, precision) for net in nets for name, precision in able]
    beside = {"bank": args.beside, "style": None}
    with ExitStack() as ends:

        def start(*arguments: Any) -> Worker:
            return ends.enter_context(Worker(*arguments))

        where = {"device": args.device, "size": size, "batch": args.batch}
        painters = [
            start(job(args, "paint", engine=name, precision=each, **where) | ({} if net == "bank" else beside))
            for net, name, each in cases
        ]
        reference = start({"size": size, "device": args.device}, "benchmarks.fast_neural_style")
        products = [start({"kind": "rate", "precision": each, "device": args.device}) for each in precisions]
        operations = [worker.about["operations"] for worker in products]
        samples = in_turn([*painters, reference, *products], args.rounds, args.seconds)
    rates = {
        precision: count / sample.best_ms / 1e6
        for precision, count, sample in zip(precisions, operations, samples[len(cases) + 1 :], strict=True)
    }
    kinds = [{"engine": name, "net": net, "precision": precision} for net, name, precision in cases]
    return [
        {**kind, "size": label, **figures(sample, flops(net, size) / 1e9, rates.get(str(kind["precision"])), batch)}
        for kind, sample, net, batch in zip(
            [*kinds, REFERENCE],
            samples[: len(cases) + 1],
            [*(nets[net] for net, _, _ in cases), USUAL],
            [*[args.batch] * len(cases), 1],
            strict=True,
        )
    ]


def figures(sample: Sample, gflop: float, rate: float | None, batch: int) -> dict[str, float | None]:
    ms = sample.median_ms / batch
    floor = None if rate is None else 1000 * gflop / rate
    return {
        "ms": ms,
        "fps": 1000 / ms,
        "p95_ms": sample.p95_ms / batch,
        "cpu_ms": sample.cpu_ms / batch,
        "rss_mb": sample.peak_rss_mb,
        "gflop": gflop,
        "limit_gops": rate,
        "floor_ms": floor,
        "share": None if floor is None else floor / ms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", type=Path, help="a bank file")
    parser.add_argument("--beside", metavar="FILE", help="another bank, measured in the same turns")
    parser.add_argument("--style", help="whose bank to run; the library's first style if both are left out")
    parser.add_argument("--engines", default=",".join(installed_engines()))
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--sizes", default="360p,720p", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--rounds", type=int, default=3, help="how often each has its turn")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    library = Library()
    if args.bank is None and args.style is None:
        args.style = library.entries()[0].card.name
    nets = {"bank": read_label(args.bank).config if args.bank else library.bank(parse_mix(args.style)).config}
    if args.beside:
        nets[Path(args.beside).stem] = read_label(Path(args.beside)).config
    cases, rows = list(able(args)), []
    for label in args.sizes.split(","):
        for row in measure(args, cases, nets, label):
            rows.append(row)
            shown = (f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
            print("  ".join(shown), file=sys.stderr, flush=True)
    if args.json:
        options = {name: getattr(args, name) for name in ("style", "batch", "rounds", "seconds")}
        print(json.dumps({"machine": describe(args.device), "warmup": WARMUP, **options, "rows": rows}))


if __name__ == "__main__":
    main()
