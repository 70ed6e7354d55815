"""Exported files are read by their own runtimes and paint what PyTorch paints, within their precision."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.banks import pictures, tiny_bank, tiny_transformer_bank, with_ranges
from tests.test_engines import eager
from videostyle.cli import run
from videostyle.errors import EngineError, StyleError, UsageError
from videostyle.export import FORMATS, SIZES, Report, export, photo_like
from videostyle.library import HOME_VARIABLE
from videostyle.styles import StyleBank, parse_mix
from videostyle.transformer_net import TransformerNet

BANKS = {"stylenet": tiny_bank(), "transformernet": tiny_transformer_bank()}
CASES = [(name, precision) for name, row in FORMATS.items() for precision in row.precisions]
TOLERANCE = {"fp32": (1, 0.01), "fp16": (2, 0.2), "bf16": (6, 0.8), "int8": (32, 2.0)}
"""By precision: how far a code of 0..255 may lie from PyTorch in float32, and how far all of them on average."""

SIZE = (50, 31)
"""(W, H) of files of fixed size: neither side is a multiple of 4."""

Captured = pytest.CaptureFixture[str]


@pytest.fixture(params=BANKS)
def bank(request: pytest.FixtureRequest) -> StyleBank:
    return with_ranges(BANKS[request.param])


def exported(bank: StyleBank, folder: Path, name: str, precision: str, mix: str | None = None) -> Report:
    """Export to ``folder``/x.SUFFIX, or skip where the format's package is missing."""
    row = FORMATS[name]
    if importlib.util.find_spec(row.package) is None:
        pytest.skip(f"{row.package} is not installed: {row.install}")
    size = SIZE if row.fixed else None
    output = folder / f"x{row.suffixes[0]}"
    parsed = parse_mix(mix) if mix else None
    return export(bank, output, format=name, precision=precision, mix=parsed, size=size)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, str], Report]:
    """``exported`` by kind of bank, format and precision, each once: lowering for phones takes its time."""

    @cache
    def make(kind: str, name: str, precision: str) -> Report:
        return exported(with_ranges(BANKS[kind]), tmp_path_factory.mktemp("export"), name, precision)

    return make


@pytest.mark.parametrize(("name", "precision"), CASES, ids=map("-".join, CASES))
@pytest.mark.parametrize("kind", BANKS)
def test_its_own_runtime_paints_as_pytorch(
    made: Callable[[str, str, str], Report], capfd: Captured, kind: str, name: str, precision: str
) -> None:
    report = made(kind, name, precision)
    assert capfd.readouterr().out == ""  # where --json goes
    most, mean = TOLERANCE[precision]
    assert [found.size for found in report.differences] == [SIZE] if FORMATS[name].fixed else [*SIZES]
    assert all(found.max <= most and found.mean <= mean for found in report.differences)
    folder = Path(report.output).parent
    assert {path.name for path in folder.iterdir()} == {Path(path).name for path in report.files}
    assert report.bytes == sum(path.stat().st_size for path in folder.iterdir() if path.suffix != ".json")


@pytest.mark.parametrize("name", FORMATS)
def test_styles_are_an_input_and_lie_beside(made: Callable[[str, str, str], Report], name: str) -> None:
    """Another program's way: read the description, mix two vectors, paint."""
    bank = BANKS["stylenet"]
    report = made("stylenet", name, "fp32")
    told = json.loads(Path(f"{report.output}.json").read_text())
    assert list(told["styles"]) == [*bank.names]
    vectors = {key: np.array(value, np.float32) for key, value in told["styles"].items()}
    vector = 0.5 * vectors["identity"] + 0.5 * (0.25 * vectors["rain"] + 0.75 * vectors["sun"])
    width, height = SIZE
    images = pictures(1, height, width)
    painted = importlib.import_module(f"videostyle.export.{name}").load(Path(report.output))(images, vector)
    expected = eager(bank, images, bank.vector(parse_mix("rain:0.25,sun:0.75"), 0.5))
    assert np.abs(painted.astype(int) - expected).max() <= 1
    assert np.abs(painted.astype(int) - eager(bank, images, bank.styles[1])).mean() > 1


@pytest.mark.parametrize("name", FORMATS)
def test_a_style_can_be_baked_in(tmp_path: Path, name: str) -> None:
    bank = BANKS["stylenet"]
    report = exported(bank, tmp_path, name, "fp32", "sun:0.8,rain:0.2")
    assert report.style == "sun:0.8,rain:0.2"
    assert (report.styles, set(report.tensors)) == ((), {"images", "painted"})
    assert json.loads(Path(f"{report.output}.json").read_text())["styles"] == {}
    images = pictures(1, SIZE[1], SIZE[0])
    painted = importlib.import_module(f"videostyle.export.{name}").load(Path(report.output))(images, None)
    expected = eager(bank, images, bank.vector(parse_mix("sun:0.8,rain:0.2")))
    assert np.abs(painted.astype(int) - expected).max() <= 1


def test_torchscript_needs_no_videostyle_and_takes_any_size(bank: StyleBank, tmp_path: Path) -> None:
    exported(bank, tmp_path, "torchscript", "fp32")
    sizes = [(1, 1), (3, 5), (7, 9), (17, 33), (24, 40), (50, 31)]
    for number, size in enumerate(sizes):
        images = pictures(2, *size)
        np.savez(tmp_path / f"{number}.npz", images=images, expected=eager(bank, images, bank.styles[-1]))
    np.save(tmp_path / "vector.npy", bank.styles[-1:])
    program = (
        "import numpy as np, sys, torch\n"
        "model, vector = torch.jit.load('x.pt'), torch.from_numpy(np.load('vector.npy'))\n"
        f"for number in range({len(sizes)}):\n"
        "    case = np.load(f'{number}.npz')\n"
        "    painted = model(torch.from_numpy(case['images']), vector).numpy()\n"
        "    assert painted.dtype == np.uint8 and painted.shape == case['expected'].shape\n"
        "    print(np.abs(painted.astype(int) - case['expected']).max())\n"
        "assert not any(name.startswith('videostyle') for name in sys.modules)\n"
    )
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert [int(line) <= 1 for line in said.split()] == [True] * len(sizes)


def test_half_the_numbers_are_half_the_weights(tmp_path: Path) -> None:
    bank = tiny_bank()
    whole = exported(bank, tmp_path, "torchscript", "fp32").bytes
    weights = 4 * sum(tensor.size for tensor in bank.body.values())
    (tmp_path / "half").mkdir()
    assert exported(bank, tmp_path / "half", "torchscript", "fp16").bytes < whole - weights / 3


def test_int8_is_for_any_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as the one wants it that writes the file: without VNNI, weights of the whole range overflow."""
    files = []
    for exact in (True, False):
        monkeypatch.setattr("videostyle.engines.openvino_graph.adds_bytes_exactly", lambda exact=exact: exact)
        folder = tmp_path / str(exact)
        folder.mkdir()
        exported(with_ranges(tiny_bank()), folder, "openvino", "int8")
        files.append((folder / "x.bin").read_bytes())
    assert files[0] == files[1]


def test_what_paints_otherwise_is_not_left_behind(tmp_path: Path) -> None:
    """Ranges far too narrow: int8 cannot hold what enters the convolutions."""
    bank = with_ranges(tiny_bank())
    broken = replace(bank, ranges=dict.fromkeys(bank.ranges, (0.0, 1e-4)))
    with pytest.raises(EngineError, match="paints otherwise than PyTorch"):
        exported(broken, tmp_path, "openvino", "int8")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("bank", "options", "error", "said"),
    [
        ("stylenet", {"format": "coreml"}, UsageError, "--format coreml is unknown: choose torchscript"),
        ("stylenet", {"format": "torchscript", "precision": "int8"}, UsageError, "choose fp32, fp16, bf16"),
        ("stylenet", {"format": "torchscript", "size": (64, 48)}, UsageError, "leave --size out"),
        ("stylenet", {"format": "torchscript", "strength": 0.5}, UsageError, "add --style"),
        ("stylenet", {"format": "openvino", "precision": "int8"}, EngineError, "videostyle.quantize"),
        ("transformernet", {"format": "torchscript", "mix": "mosaic", "strength": 0.5}, StyleError, "no strength"),
        ("stylenet", {"format": "torchscript", "mix": "moon"}, StyleError, "no style 'moon'"),
        ("stylenet", {"format": "torchscript", "output": "x.onnx"}, UsageError, "are called NAME.pt"),
        ("stylenet", {"format": "torchscript", "output": "no/x.pt"}, UsageError, "does not exist"),
    ],
)
def test_what_cannot_be(
    tmp_path: Path, bank: str, options: dict[str, object], error: type[Exception], said: str
) -> None:
    if "mix" in options:
        options = options | {"mix": parse_mix(str(options["mix"]))}
    suffix = {"openvino": ".xml"}.get(str(options["format"]), ".pt")
    output = tmp_path / str(options.pop("output", f"x{suffix}"))
    with pytest.raises(error, match=said):
        export(BANKS[bank], output, **options)  # type: ignore[arg-type]
    assert [*tmp_path.iterdir()] == []


def test_a_missing_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "executorch", replace(FORMATS["executorch"], package="no_such_package"))
    with pytest.raises(EngineError, match=r"needs no_such_package: pip install 'videostyle\[executorch\]'"):
        export(BANKS["stylenet"], tmp_path / "x.pte", format="executorch")


def test_pictures_to_compare_with_look_like_photos() -> None:
    picture = photo_like(211, 117)
    assert picture.shape == (117, 211, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, photo_like(211, 117))
    assert picture.std() > 30
    neighbours = np.corrcoef(picture[:, 1:].ravel(), picture[:, :-1].ravel())[0, 1]
    assert neighbours > 0.7


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    own = tmp_path / "home" / "styles"
    own.mkdir(parents=True)
    tiny_bank().save(own / "tiny.safetensors")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path


def command(*arguments: str | Path) -> Sequence[str]:
    return ["export", *map(str, arguments)]


def test_the_command(home: Path, capsys: Captured) -> None:
    output = home / "tiny.pt"
    assert run(command("rain", output, "--format", "torchscript", "--json")) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["format"], told["precision"], told["size"], told["style"]) == ("torchscript", "fp32", None, None)
    assert told["styles"] == ["identity", "rain", "sun"]
    assert told["bytes"] == output.stat().st_size
    assert all(found["max"] <= 1 for found in told["differences"])
    assert "images: uint8 (N, H, W, 3)" in said.err
    assert "from PyTorch's on average" in said.err
    before = output.read_bytes()
    assert run(command("rain", output, "--format", "torchscript")) == 2
    assert "--force" in capsys.readouterr().err
    assert output.read_bytes() == before
    assert (
        run(command("rain", output, "--format", "torchscript", "--force", "--style", "sun", "--strength", "0.5")) == 0
    )
    assert "sun at strength 0.5" in capsys.readouterr().err


def test_files_of_banks_and_checkpoints(home: Path, capsys: Captured) -> None:
    bank = home / "home" / "styles" / "tiny.safetensors"
    assert run(command(bank, home / "a.pt", "--format", "torchscript")) == 0
    source = tiny_transformer_bank()
    tensors = {name: torch.from_numpy(tensor) for name, tensor in source.body.items()}
    tensors |= _norms(source)
    torch.save(tensors, home / "mosaic.pth")
    assert run(command(home / "mosaic.pth", home / "b.pt", "--format", "torchscript", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["styles"] == ["mosaic"]


def _norms(bank: StyleBank) -> dict[str, torch.Tensor]:
    """A checkpoint's instance norms from the style vector that a bank makes of them."""
    net = TransformerNet(bank.config)
    vectors = torch.from_numpy(bank.styles[0]).split(net.style_sizes)
    pairs = {name: vector.chunk(2) for name, vector in zip(net.norm_names, vectors, strict=True)}
    return {
        f"{name}.{key}": part
        for name, pair in pairs.items()
        for key, part in zip(("weight", "bias"), pair, strict=True)
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.safetensors", "x.pt"], "there is no such file"),
        (["moon", "x.pt"], "no style 'moon'"),
        (["rain", "x.pte", "--size", "640"], "write WIDTHxHEIGHT"),
    ],
)
def test_bad_use_is_one_line(home: Path, capsys: Captured, arguments: list[str], said: str) -> None:
    assert run(command(*arguments, "--format", "executorch" if "--size" in arguments else "torchscript")) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
