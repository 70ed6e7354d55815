"""The work folder: what a long job has done so far, in files that are there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from videostyle.errors import UsageError
from videostyle.keyframes.options import KeyframeOptions
from videostyle.output import write_error

FLOW_BYTES, PICTURE_BYTES, STATE_BYTES = 8, 4, 12
"""A pixel: flow both ways in half precision, a PNG at its worst, and a painting under way."""
FIXED_BYTES = 20_000_000
"""What a net that was tuned takes, and the rest."""


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file through a hidden one beside it. Raises SinkError where that fails."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            write(file)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise write_error(error, path) from error


def fingerprint(path: Path) -> str:
    """What a file holds, in short."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def room(size: tuple[int, int], frames: int, keyframes: int, options: KeyframeOptions) -> int:
    """Bytes that the work folder of a film of this (width, height) holds at most."""
    pixels = size[0] * size[1]
    flows = min(options.flow_cache * 1_000_000, frames * pixels * FLOW_BYTES)
    pictures = keyframes + (frames if options.fill == "optimize" else 0)
    return flows + pictures * pixels * PICTURE_BYTES + pixels * STATE_BYTES + FIXED_BYTES


class WorkFolder:
    """The folder of one job.

    job: everything that shapes the result, as JSON holds it. A folder that was made for another job is refused.
    Raises UsageError for that, and where the folder cannot be made.
    """

    def __init__(self, folder: Path, job: Mapping[str, Any]) -> None:
        self.folder = folder
        try:
            for name in ("", "keyframes", "fills", "flows"):
                (folder / name).mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder} cannot be the work folder: {error.strerror}") from error
        known = self.read("job.json")
        wanted = json.loads(json.dumps(job))
        if known is None:
            self.write("job.json", wanted)
        for name in wanted:
            if known is not None and known.get(name) != wanted[name]:
                was, now = _short(known.get(name)), _short(wanted[name])
                raise UsageError(
                    f"{folder} holds another job (its {name} is {was}, not {now}): choose another --work, or delete it"
                )

    def read(self, name: str) -> Any:
        """A JSON file of the folder, None where there is none."""
        path = self.folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def write(self, name: str, values: Any) -> None:
        """Write a JSON file of the folder."""
        write_whole(self.folder / name, lambda file: file.write(json.dumps(values, indent=1).encode()))

    def keyframe(self, number: int) -> Path:
        """Where the painting of a frame is."""
        return self.folder / "keyframes" / f"{number:06d}.png"

    def fill(self, number: int) -> Path:
        """Where what fills the holes of a frame is."""
        return self.folder / "fills" / f"{number:06d}.png"

    def check_room(self, needed: int) -> None:
        """Raises UsageError where the disk has less than ``needed`` bytes, beside what the folder holds already."""
        held = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        free = shutil.disk_usage(self.folder).free
        if held + free < needed:
            raise UsageError(
                f"{self.folder} may need {needed / 1e6:.0f} MB and its disk has {(held + free) / 1e6:.0f}: "
                "choose another --work, or a smaller --flow-cache"
            )
