"""Check-ups of what is installed: Python, packages, styles, engines, encoders."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from videostyle.doctor.check import Check
from videostyle.engines import ENGINES, EngineRow, StyleEngine, load_engine
from videostyle.errors import VideoStyleError
from videostyle.library import Library
from videostyle.styles import StyleMix

LEAST_PYTHON = (3, 11)


def python(version: Sequence[Any] = sys.version_info) -> Check:
    """Its version."""
    found = f"{'.'.join(str(part) for part in version[:3])} ({platform.system()} {platform.machine()})"
    if tuple(version[:2]) >= LEAST_PYTHON:
        return Check("python", "ok", found)
    least = ".".join(map(str, LEAST_PYTHON))
    return Check("python", "fail", found, f"install Python {least} or newer, and videostyle again with it")


def packages(
    requires: Callable[[str], list[str] | None] = importlib.metadata.requires,
    version: Callable[[str], str] = importlib.metadata.version,
) -> Check:
    """Versions of what videostyle itself needs."""
    try:
        needed = requires("videostyle") or []
    except importlib.metadata.PackageNotFoundError:
        return Check("packages", "warn", "videostyle runs without being installed", "pip install -e . in its folder")
    found, missing = [], []
    for requirement in needed:
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        try:
            found.append(f"{name} {version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("packages", "fail", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    return Check("packages", "ok", ", ".join(found))


def styles(library: Library | None = None) -> Check:
    """Whether there are banks, whole, with the contents that their cards promise."""
    library = Library() if library is None else library
    faults = [note.partition(": ")[2] for note in library.notes]
    entries = library.entries()
    for path in {entry.shelved.path: None for entry in entries}:
        try:
            library.load(path)
        except VideoStyleError as error:
            faults.append(str(error))
            entries = [entry for entry in entries if entry.shelved.path != path]
    own = sum(entry.shelved.own for entry in entries)
    found = "\n".join([f"{len(entries)} styles" + (f", {own} of them yours" if own else ""), *faults])
    if not entries:
        return Check("styles", "fail", found, "install videostyle again, or videostyle styles add FILE --name NAME")
    if faults:
        return Check("styles", "warn", found, "get these files again, or videostyle styles remove NAME")
    return Check("styles", "ok", found)


def engines(
    rows: Mapping[str, EngineRow] = ENGINES,
    version: Callable[[str], str] = importlib.metadata.version,
    find: Callable[[str], object | None] = importlib.util.find_spec,
) -> Check:
    """Which engines are installed."""
    there, ways = [], []
    for name, row in rows.items():
        if find(row.package) is None:
            ways.append(f"{name} is not installed: {row.install}")
            continue
        try:
            there.append(f"{name} ({row.package} {version(row.package)})")
        except importlib.metadata.PackageNotFoundError:
            there.append(f"{name} ({row.package})")
    if not there:
        return Check("engines", "fail", "none is installed", "; ".join(ways))
    return Check("engines", "ok", "\n".join([", ".join(there), *ways]))


def painting(
    library: Library | None = None, load: Callable[..., StyleEngine] = load_engine, size: tuple[int, int] = (128, 72)
) -> Check:
    """Whether the engine that would be chosen paints a picture."""
    library = Library() if library is None else library
    entries = library.entries()
    if not entries:
        return Check("painting", "fail", "there is no style to paint in", "see styles")
    mix = StyleMix(((entries[0].card.name, 1.0),))
    try:
        bank = library.bank(mix)
        engine = load(bank)
        try:
            vector = bank.vector(mix)
            photo = np.zeros((1, size[1], size[0], 3), np.uint8)
            engine(photo, vector)
            began = perf_counter()
            painted = engine(photo, vector)
            milliseconds = (perf_counter() - began) * 1000
        finally:
            engine.close()
    except VideoStyleError as error:
        return Check(
            "painting", "fail", str(error), "see engines and styles; --engine, --precision and --device choose"
        )
    where = f"{engine.name}/{engine.precision}/{engine.device}"
    if painted.shape != photo.shape:
        return Check("painting", "fail", f"{where} gave a picture of another size", "choose another --engine")
    return Check("painting", "ok", f"{where}: a picture of {size[0]}x{size[1]} in {milliseconds:.0f} ms")


def encoders(working: Callable[[], list[str]] | None = None) -> Check:
    """Which encoders open and encode a tiny picture."""
    from videostyle.sinks.encoders import ENCODERS, working_encoders

    there = working_encoders() if working is None else working()
    hardware = [name for name in there if not name.startswith("lib")]
    found = ", ".join(there) or "none"
    found += "" if hardware else "\nno hardware encoder: the processor encodes"
    if "libx264" in there:
        return Check("encoders", "ok", found)
    others = [name for name in there if ENCODERS[name].codec == "h264"]
    if others:
        return Check("encoders", "warn", found, f"libx264 is missing: use --codec {others[0]}")
    return Check("encoders", "fail", found, "libx264 is missing: pip install --force-reinstall av")


def fonts() -> Check:
    """Whether text can be drawn at any size."""
    from PIL import features

    if features.check("freetype2"):
        return Check("fonts", "ok", f"FreeType {features.version('freetype2')}")
    return Check("fonts", "warn", "Pillow was built without FreeType", "pip install --force-reinstall pillow")
