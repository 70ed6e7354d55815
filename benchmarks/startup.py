"""python -m benchmarks.startup: how long the command line takes, and a live session to its first painted frame.

Each figure is a whole process, from the moment it is started. ``help`` ends with the process. ``live`` ends when the
first frame of a test picture has been painted at 1280x720, with a recording as the output; the child tells the time
itself, by a watch on ``Painter`` that changes nothing else. Cold: nothing compiled and nothing chosen yet, as after
installing. Warm: the median of several starts after that. Files are in the system's cache in all of them.
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
from videostyle.library import HOME_VARIABLE

LIVE = """
import sys
import time
from pathlib import Path
from videostyle.cli import run
from videostyle.painter import Painter

paint = Painter.__call__

def watched(self, frame):
    painted = paint(self, frame)
    Path(sys.argv[1]).write_text(repr(time.time()))
    Painter.__call__ = paint
    return painted

Painter.__call__ = watched
sys.exit(run(sys.argv[2:]))
"""


def seconds_to_help(home: Path) -> float:
    began = time.time()
    _run([sys.executable, "-m", "videostyle", "--help"], home)
    return time.time() - began


def seconds_to_frame(home: Path, size: str, options: list[str]) -> tuple[float, dict[str, object]]:
    """Seconds to the first painted frame, and the report of the run."""
    note, output = home / "painted", home / "live.mkv"
    live = ["live", "--source", f"synthetic:{size}", "--record", str(output), "--force", "--no-window"]
    began = time.time()
    said = _run([sys.executable, "-c", LIVE, str(note), *live, "--duration", "1", "--json", *options], home)
    return float(note.read_text()) - began, json.loads(said)


def _run(command: list[str], home: Path) -> str:
    environment = {**os.environ, HOME_VARIABLE: str(home)}
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--json", action="store_true")
    args, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        seconds_to_help(home)  # files come into the system's cache
        helps = [seconds_to_help(home) for _ in range(args.runs)]
        cold, _ = seconds_to_frame(home, args.size, options)
        starts = [seconds_to_frame(home, args.size, options) for _ in range(args.runs)]
    report = starts[-1][1]
    figures = {
        "help_s": round(statistics.median(helps), 3),
        "first_frame_cold_s": round(cold, 3),
        "first_frame_warm_s": round(statistics.median(start for start, _ in starts), 3),
        "first_frame_warm_worst_s": round(max(start for start, _ in starts), 3),
        "engine": "/".join(str(report[name]) for name in ("engine", "precision", "device")),
        "peak_rss_mb": report["peak_rss_mb"],
    }
    facts = {"machine": describe(str(report["device"])), "size": args.size, "runs": args.runs, "options": options}
    for key, value in {**facts, **figures}.items():
        print(f"{key:28}{value}", file=sys.stderr)
    if args.json:
        print(json.dumps({**facts, **figures}))


if __name__ == "__main__":
    main()
