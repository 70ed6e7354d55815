"""``videostyle video`` and ``demo`` from end to end, on a small bank of random weights."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.banks import tiny_bank
from tests.clips import decoded
from videostyle.cli import run
from videostyle.engines import installed_engines
from videostyle.library import HOME_VARIABLE, shipped_folder
from videostyle.sinks import open_sink
from videostyle.sources.synthetic import SyntheticSource

Captured = pytest.CaptureFixture[str]


def make_clip(path: Path, frames: int) -> Path:
    source = SyntheticSource("64x48", frames=frames, rate=Fraction(25))
    sink = open_sink(path, source.info)
    for frame in source:
        sink.write(frame)
    sink.close()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clip.mp4 of 25 frames, and home with the styles "rain" and "sun"."""
    folder = tmp_path_factory.mktemp("video")
    own = folder / "home" / "styles"
    own.mkdir(parents=True)
    tiny_bank().save(own / "tiny.safetensors")
    make_clip(folder / "clip.mp4", 25)
    return folder


@pytest.fixture(autouse=True)
def _in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(folder)
    monkeypatch.setenv(HOME_VARIABLE, str(folder / "home"))
    yield
    for made in folder.glob("*out*"):
        made.unlink()


def test_a_video_is_painted_frame_by_frame(capsys: Captured) -> None:
    assert run(["video", "clip.mp4", "out.mp4", "--style", "rain", "--device", "cpu", "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["frames_in"], told["frames_out"], told["dropped"]) == (25, 25, 0)
    assert told["size"] == [64, 48]
    assert told["output"] == "out.mp4"
    assert told["engine"] in installed_engines()  # the one that a short measurement found fastest
    assert told["device"] == "cpu"
    assert 0 < told["latency_ms"]["p50"] <= told["latency_ms"]["p95"] <= told["latency_ms"]["max"] * 1.01
    assert told["fps"] == pytest.approx(25 / told["seconds"], rel=0.02)
    assert said.err.splitlines()[-1].startswith("out.mp4: 25 frames, 64x48 in ")
    photos, paintings = decoded(Path("clip.mp4")), decoded(Path("out.mp4"))
    assert [frame.seconds for frame in paintings] == pytest.approx([frame.seconds for frame in photos])
    assert np.abs(paintings[3].image.astype(int) - photos[3].image).mean() > 5


def test_a_video_can_shrink_on_the_way() -> None:
    assert run(["video", "clip.mp4", "out.mp4", "--style", "rain:1,sun:2", "--max-side", "32"]) == 0
    assert decoded(Path("out.mp4"))[0].image.shape == (24, 32, 3)


def test_an_output_is_overwritten_when_forced_only(capsys: Captured) -> None:
    Path("out.mp4").write_text("precious")
    assert run(["video", "clip.mp4", "out.mp4", "--style", "rain"]) == 2
    assert "out.mp4 exists already" in capsys.readouterr().err
    assert Path("out.mp4").read_text() == "precious"
    assert run(["video", "clip.mp4", "out.mp4", "--style", "rain", "--force"]) == 0
    assert len(decoded(Path("out.mp4"))) == 25


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["clip.mp4", "clip.mp4", "--force"], "is the input itself"),
        (["clip.mp4", "out.mp4", "--style", "sunflowers"], "sunflowers"),
        (["missing.mp4", "out.mp4", "--style", "rain"], "there is no such file"),
        (["clip.mp4", "out.mp4", "--style", "rain", "--codec", "abacus"], "abacus"),
        (["clip.mp4", "out.xyz", "--style", "rain"], "out.xyz"),
    ],
)
def test_bad_requests_leave_no_output(arguments: list[str], said: str, folder: Path, capsys: Captured) -> None:
    before = {path.name for path in folder.iterdir()}
    assert run(["video", *arguments]) in (1, 2)
    line = capsys.readouterr().err
    assert line.startswith("videostyle: ")
    assert said in line
    assert line.count("\n") == 1
    assert {path.name for path in folder.iterdir()} == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals for one process")
@pytest.mark.parametrize(
    ("number", "code", "background"),
    [
        *[(signal.SIGINT, 130, False), (signal.SIGTERM, 143, False), (signal.SIGTERM, 143, True)],
        *[(signal.SIGHUP, 129, False)] * hasattr(signal, "SIGHUP"),
    ],
)
def test_what_is_interrupted_plays(number: signal.Signals, code: int, background: bool, folder: Path) -> None:
    options = ["--style", "rain", "--preset", "ultrafast", "--quality", "5", "--json"]
    program = [sys.executable, "-m", "videostyle", "video", "synthetic:160x120", "out.mp4", *options]
    # A shell starts what it leaves in the background with SIGINT ignored.
    program = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *program] if background else program
    with subprocess.Popen(program, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not any(path.stat().st_size > 1000 for path in folder.glob("*out*")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert json.loads(out)["error"] == "interrupted"
    assert err.splitlines()[-1] == "videostyle: interrupted"
    (left,) = folder.glob("*out*")
    assert str(left.name) in err
    frames = decoded(left)
    assert f"holds the {len(frames)} frames" in err


def test_the_demo_paints_the_clip_that_comes_along(folder: Path, capsys: Captured) -> None:
    if not (shipped_folder() / "demo.mp4").is_file():
        assert run(["demo"]) == 2
        assert "demo.mp4 is missing" in capsys.readouterr().err
        return
    for _ in range(2):
        assert run(["demo", "--no-window", "--max-side", "160"]) == 0
    assert str(folder / "videostyle-demo.mp4") in capsys.readouterr().err
    assert len(decoded(Path("videostyle-demo.mp4"))) == len(decoded(shipped_folder() / "demo.mp4"))
