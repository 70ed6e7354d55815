"""python -m benchmarks.files: every clip of a folder through ``videostyle video``, and what came out beside it.

Frames and times are compared one by one, audio packet by packet. A clip that holds no picture must end with exit code 2
and leave nothing behind.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import av
from av.audio.frame import AudioFrame

from benchmarks.machine import describe
from videostyle.sources import open_source


@dataclass(frozen=True, slots=True)
class Facts:
    """What is compared of a file. times: seconds of each frame. sound: one hash of all packets a track."""

    size: tuple[int, int]
    times: list[float] = field(repr=False)
    sound: list[str]
    sound_seconds: list[float]


def facts(path: Path) -> Facts:
    with closing(open_source(path)) as source:
        size = (source.info.width, source.info.height)
        times = [frame.seconds for frame in source]
    with av.open(str(path)) as container:
        tracks = len(container.streams.audio)
    sound, seconds = [], []
    for track in range(tracks):
        digest, samples, rate = sha256(), 0, 1
        with av.open(str(path)) as container:
            for packet in container.demux(container.streams.audio[track]):
                digest.update(bytes(packet))
                for frame in packet.decode():
                    if isinstance(frame, AudioFrame):
                        samples, rate = samples + frame.samples, frame.sample_rate
        sound.append(digest.hexdigest())
        seconds.append(samples / rate)
    return Facts(size, times, sound, seconds)


def compare(clip: Path, folder: Path, options: list[str]) -> dict[str, object]:
    """One clip through the command line, in a process of its own."""
    out = folder / (clip.stem + ".mp4")
    command = [sys.executable, "-m", "videostyle", "video", str(clip), str(out), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    if done.returncode:
        return {"clip": clip.name, "exit": done.returncode, "said": report["error"], "left": out.exists()}
    before, after = facts(clip), facts(out)
    start = (before.times[0], after.times[0])
    moved = [abs((a - start[0]) - (b - start[1])) for a, b in zip(before.times, after.times, strict=False)]
    return {
        "clip": clip.name,
        "exit": 0,
        "size": before.size,
        "frames_in": len(before.times),
        "frames_out": len(after.times),
        "largest_time_difference_ms": round(1000 * max(moved), 3),
        "duration_difference_ms": round(1000 * ((after.times[-1] - start[1]) - (before.times[-1] - start[0])), 3),
        "sound": [
            "copied" if a == b else f"{1000 * (after.sound_seconds[i] - before.sound_seconds[i]):+.0f} ms"
            for i, (a, b) in enumerate(zip(before.sound, after.sound, strict=True))
        ],
        "fps": round(report["fps"], 1),
        "notes": report["notes"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared"))
    parser.add_argument("--clips", type=Path, default=shared / "clips")
    parser.add_argument("--keep", type=Path, help="keep the paintings in this folder")
    parser.add_argument("--json", action="store_true")
    args, options = parser.parse_known_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for clip in sorted(p for p in args.clips.iterdir() if p.suffix in (".mp4", ".mkv", ".webm", ".mov")):
            rows.append(row := compare(clip, folder, options))
            print("  ".join(f"{key} {value}" for key, value in row.items()), file=sys.stderr, flush=True)
    if args.json:
        print(json.dumps({"machine": describe(), "options": options, "clips": rows}))


if __name__ == "__main__":
    main()
