"""Banks as files that other programs run without videostyle: one module a format, one row in ``FORMATS``.

Beside each file, ``FILE.json`` says what goes in and out and, where no style is baked in, holds the style vectors by
name: add them up by weight for a mix, (1 - strength) * identity + strength * style for less of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from videostyle import __version__
from videostyle.engines import load_engine
from videostyle.errors import EngineError, StyleError, UsageError
from videostyle.export.job import Job, Painter
from videostyle.frame import Image
from videostyle.output import check_target, hidden_name, write_error
from videostyle.styles import StyleBank, StyleMix

SIZES = ((320, 180), (211, 117))
"""What a file that takes any size is tried at, (W, H): an even one and one that has to be filled up."""

FIXED_SIZE = (640, 360)
"""(W, H) of formats that need one, unless told otherwise."""

LIMIT = 8.0
"""Mean difference to PyTorch, in codes of 0..255, above which a file does not paint the style any more."""


@dataclass(frozen=True, slots=True)
class Format:
    """module: where ``write(job, path)``, ``load(path)`` and ``TENSORS`` are. package: that it needs; install: how.

    suffixes: of its files, the main one first. precisions: the preferred one first. fixed: it needs a size.
    """

    module: str
    package: str
    install: str
    suffixes: tuple[str, ...]
    precisions: tuple[str, ...]
    fixed: bool = False


FORMATS = {
    "torchscript": Format("torchscript", "torch", "pip install torch", (".pt",), ("fp32", "fp16", "bf16")),
    "openvino": Format("openvino", "openvino", "pip install openvino", (".xml", ".bin"), ("fp32", "fp16", "int8")),
    "onnx": Format("onnx", "onnx", "pip install 'videostyle[onnx]'", (".onnx",), ("fp32", "fp16", "int8")),
    "executorch": Format(
        "executorch", "executorch", "pip install 'videostyle[executorch]'", (".pte",), ("fp32", "int8"), fixed=True
    ),
    "litert": Format(
        "litert", "litert_torch", "pip install 'videostyle[litert]'", (".tflite",), ("fp32", "int8"), fixed=True
    ),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a file's painting of a picture of ``size`` (W, H) lies from PyTorch's in float32, in codes of 0..255."""

    size: tuple[int, int]
    max: int
    mean: float


@dataclass(frozen=True, slots=True)
class Report:
    """What was exported. files: all of them; bytes: of all but the description. tensors: inputs and outputs.

    size: (W, H), or None for any. styles: names of the vectors in the description; style: what is baked in instead.
    """

    output: str
    format: str
    precision: str
    size: tuple[int, int] | None
    style: str | None
    styles: tuple[str, ...]
    tensors: Mapping[str, str]
    files: tuple[str, ...]
    bytes: int
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def export(
    bank: StyleBank,
    output: Path,
    *,
    format: str,
    precision: str | None = None,
    mix: StyleMix | None = None,
    strength: float = 1.0,
    size: tuple[int, int] | None = None,
    force: bool = False,
) -> Report:
    """Write ``bank`` as ``output`` and its description beside it, load it with its own runtime, and compare.

    format: a row of ``FORMATS``. precision: one of the format's, by default its first. mix: to bake in at ``strength``;
    styles are an input without it. size: (W, H), for formats of fixed size alone (default ``FIXED_SIZE``).

    Raises UsageError for requests that make no sense, EngineError where the format's package is missing or what it
    paints is not what PyTorch paints, SinkError where the files cannot be written. Nothing appears in that case.
    """
    row, job = _job(bank, format, precision, mix, strength, size)
    if output.suffix != row.suffixes[0]:
        raise UsageError(f"{output}: files of {format} are called NAME{row.suffixes[0]}")
    described = output.with_name(f"{output.name}.json")
    # The main one last: when it is there, all is.
    targets = [described, *(output.with_suffix(suffix) for suffix in reversed(row.suffixes))]
    for target in targets:
        check_target(target, force=force)
    module = importlib.import_module(f"videostyle.export.{row.module}")
    style = None if mix is None else str(mix) if strength == 1 else f"{mix} at strength {strength:g}"
    tensors = module.TENSORS | ({} if mix else {"styles": f"float32 (1, {bank.styles.shape[1]}), see {described.name}"})
    workshop = hidden_name(output)
    try:
        workshop.mkdir()
        module.write(job, workshop / output.name)
        differences = _compare(job, module.load(workshop / output.name))
        weight = sum((workshop / target.name).stat().st_size for target in targets[1:])
        names = () if mix else bank.names
        files = tuple(map(str, targets))
        report = Report(str(output), format, job.precision, job.size, style, names, tensors, files, weight, differences)
        (workshop / described.name).write_text(_description(bank, report), encoding="utf-8")
        for target in targets:
            os.replace(workshop / target.name, target)
    except OSError as error:
        raise write_error(error, output) from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return report


def _job(
    bank: StyleBank,
    format: str,
    precision: str | None,
    mix: StyleMix | None,
    strength: float,
    size: tuple[int, int] | None,
) -> tuple[Format, Job]:
    """What is asked for, once it makes sense."""
    if format not in FORMATS:
        raise UsageError(f"--format {format} is unknown: choose {', '.join(FORMATS)}")
    row = FORMATS[format]
    if precision is not None and precision not in row.precisions:
        raise UsageError(f"{format} files do not come in {precision}: choose {', '.join(row.precisions)}")
    if size is not None and not row.fixed:
        raise UsageError(f"{format} files take pictures of any size: leave --size out")
    if strength != 1 and mix is None:
        raise UsageError("--strength needs a style to bake in: add --style")
    if strength != 1 and not bank.has_identity:
        raise StyleError(f"{bank.names[0]} has no strength inside its net: leave --strength out and fade the pictures")
    if importlib.util.find_spec(row.package) is None:
        raise EngineError(f"exporting to {format} needs {row.package}: {row.install}")
    vector = None if mix is None else bank.vector(mix, strength)
    return row, Job(bank, precision or row.precisions[0], vector, (size or FIXED_SIZE) if row.fixed else None)


def _compare(job: Job, painter: Painter) -> tuple[Difference, ...]:
    """Paint photo-like pictures with the file and with PyTorch. Raises EngineError where they have little in common."""
    engine = load_engine(job.bank, engine="pytorch", precision="fp32", device="cpu")
    vector = job.bank.styles[-1] if job.vector is None else job.vector
    found = []
    for size in [job.size] if job.size else SIZES:
        images = photo_like(*size)[None]
        painted = painter(images, vector if job.vector is None else None)
        apart = np.abs(painted.astype(int) - engine(images, vector))
        found.append(Difference(size, int(apart.max()), float(apart.mean())))
        if found[-1].mean > LIMIT:
            raise EngineError(
                f"the file paints otherwise than PyTorch, by {found[-1].mean:.0f} codes of 255 on average: "
                "export in fp32, or calibrate the bank on photos like yours"
            )
    engine.close()
    return tuple(found)


def photo_like(width: int, height: int) -> Image:
    """uint8 RGB (height, width, 3), always the same: noise whose amplitude falls with frequency as that of photos does
    (Field 1987), in channels that go mostly together."""
    noise = np.random.default_rng(0).normal(size=(height, width, 3))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))[..., None]
    waves = np.fft.fft2(noise, axes=(0, 1)) / np.maximum(frequency, 1 / max(width, height))
    planes = np.fft.ifft2(waves, axes=(0, 1)).real @ (0.8 + 0.5 * np.eye(3))
    planes = (planes - planes.mean()) / planes.std()
    picture: Image = np.clip(118 + 55 * planes, 0, 255).astype(np.uint8)
    return picture


def _description(bank: StyleBank, report: Report) -> str:
    # The shortest text that is the float32 itself; as a Python float it would take twice as long.
    vectors = dict(zip(bank.names, ([float(str(v)) for v in row] for row in bank.styles), strict=True))
    said = {
        "videostyle": __version__,
        **{key: value for key, value in report.to_json().items() if key not in ("output", "files")},
        "styles": {name: vectors[name] for name in report.styles},
    }
    return json.dumps(said, ensure_ascii=False) + "\n"
