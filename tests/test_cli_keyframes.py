"""``videostyle keyframes`` from end to end, on a small perceptual network."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.banks import pictures, tiny_bank
from tests.clips import decoded, make_clip, packets, video_times
from tests.tiny_vgg import tiny_vgg_file
from videostyle.cli import run
from videostyle.frame import Image
from videostyle.library import HOME_VARIABLE
from videostyle.perceptual import ENVIRONMENT
from videostyle.pictures import load_picture, save_picture

Captured = pytest.CaptureFixture[str]
SIZE = (64, 48)
WORLD = pictures(1, SIZE[1], 160, seed=5)[0]
TIMES = [0, 40, 80, 130, 160, 200, 240, 300, 330, 360, 400, 440]
ASKED = ["keyframes", "clip.mp4", "out.mp4"]
COMMAND = [*ASKED, "--style-image", "style.png", "--iterations", "4", "--smallest", "32"]


def view(number: int) -> Image:
    return np.ascontiguousarray(WORLD[:, 2 * number : 2 * number + SIZE[0]])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """clip.mp4, of 12 frames at a variable rate, with sound; style.png; weights, and a library of two styles."""
    options = {"crf": "4"}
    times = [time * 90 for time in TIMES]
    make_clip(
        tmp_path / "clip.mp4",
        size=SIZE,
        rate=25,
        image=view,
        options=options,
        times=times,
        time_base=Fraction(1, 90000),
    )
    save_picture(tmp_path / "style.png", pictures(1, 60, 70, seed=8)[0])
    (tmp_path / "home" / "styles").mkdir(parents=True)
    tiny_bank().save(tmp_path / "home/styles/tiny.safetensors")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setenv(ENVIRONMENT, str(tiny_vgg_file(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kept(folder: Path) -> set[str]:
    return {path.name for path in (folder / "keyframes").iterdir()}


def test_a_film_is_painted_with_its_times_and_sound(folder: Path, capsys: Captured) -> None:
    assert run([*COMMAND, "--every", "4", "--quality", "1", "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["frames_in"], told["frames_out"], told["size"]) == (12, 12, list(SIZE))
    assert (told["engine"], told["output"]) == ("optimisation", "out.mp4")
    assert "12 frames in 1 scenes, 3 keyframes; out.mp4.work will hold" in said.err
    assert kept(Path("out.mp4.work")) == {"000000.png", "000004.png", "000008.png"}
    assert list(Path("out.mp4.work/flows").iterdir()) == []
    assert video_times(Path("out.mp4")) == video_times(Path("clip.mp4"))
    assert packets(Path("out.mp4"), "audio") == packets(Path("clip.mp4"), "audio")
    painted = load_picture("out.mp4.work/keyframes/000004.png").astype(int)
    frames = [frame.image.astype(int) for frame in decoded(Path("out.mp4"))]
    assert np.abs(frames[4] - painted).mean() < min(10, np.abs(frames[4] - view(4)).mean())  # the encoder loses some


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals for one process")
def test_what_is_killed_goes_on_to_the_same_frames(folder: Path, capsys: Captured) -> None:
    # Pictures, for an encoder on several threads does not always write the same file from the same frames.
    options = [*COMMAND[3:], "--every", "3", "--iterations", "30", "--plateau", "0"]
    assert run([*ASKED[:2], "images:whole", *options, "--work", "whole.work"]) == 0
    capsys.readouterr()
    arguments = [*ASKED[:2], "images:again", *options, "--work", "again.work"]
    program = [sys.executable, "-m", "videostyle", *arguments]
    with subprocess.Popen(program, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 300
        while not Path("again.work/keyframes/000003.png").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = kept(Path("again.work"))
    assert run(arguments) == 0
    assert "going on: " in capsys.readouterr().err
    assert before & kept(Path("again.work")) >= {"000000.png", "000003.png"}
    whole, again = (sorted(Path(name).iterdir()) for name in ("whole", "again"))
    assert len(whole) == 12
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in whole]


def test_another_job_does_not_go_on_there(folder: Path, capsys: Captured) -> None:
    assert run([*COMMAND, "--every", "6"]) == 0
    assert run([*COMMAND, "--every", "6", "--force", "--style-weight", "9"]) == 2
    assert "holds another job (its painting is" in capsys.readouterr().err
    assert run([*COMMAND, "--every", "6", "--force", "--style-weight", "9", "--work", "other"]) == 0
    assert run([*COMMAND, "--every", "6", "--force", "--keep-color", "--quality", "30"]) == 0


def test_a_folder_of_other_pictures_is_another_job(folder: Path, capsys: Captured) -> None:
    Path("film").mkdir()
    for number in range(3):
        save_picture(Path(f"film/{number}.png"), view(number))
    arguments = [COMMAND[0], "film", *COMMAND[2:], "--every", "2", "--work", "work"]
    assert run(arguments) == 0
    assert run([*arguments, "--force"]) == 0
    save_picture(Path("film/3.png"), view(3))
    assert run([*arguments, "--force"]) == 2
    assert "holds another job (its film is" in capsys.readouterr().err


@pytest.mark.parametrize("fill", ["warp", "bank", "optimize"])
def test_painted_frames_are_carried(folder: Path, fill: str, capsys: Captured) -> None:
    Path("painted").mkdir()
    for number in (2, 9):
        save_picture(Path("painted") / f"{number}.png", 255 - view(number))
    own = ["--style-image", "style.png", "--iterations", "2"] if fill == "optimize" else []
    assert run([*ASKED, "--painted", "painted", "--fill", fill, "--quality", "1", *own]) == 0
    frames = decoded(Path("out.mp4"))
    assert len(frames) == 12
    for number, frame in enumerate(frames):
        middle = slice(8, -8), slice(18, -18)
        assert np.abs(frame.image[middle].astype(int) - (255 - view(number))[middle]).mean() < 12


def test_a_preview_is_short_and_small(folder: Path) -> None:
    assert run([*COMMAND, "--preview", "0.2", "--max-side", "48", "--start", "bank"]) == 0
    frames = decoded(Path("out.mp4"))
    assert len(frames) == sum(time < 200 for time in TIMES)
    assert frames[0].image.shape == (36, 48, 3)
    assert Path("out.mp4.preview.work").is_dir()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (ASKED, "no picture to paint like"),
        ([*COMMAND, "--every", "3", "--at", "0,4"], "give one of the three"),
        ([*COMMAND, "--at", "0,x"], "no list of frame numbers"),
        ([*COMMAND, "--codec", "abacus"], "abacus"),
        ([*COMMAND, "--smooth", "off"], "No such option"),
        ([*COMMAND, "--painted", "nowhere"], "with --painted nothing is optimised"),
        ([*ASKED, "--painted", "nowhere"], "no folder of painted frames at nowhere"),
        ([*ASKED, "--painted", "nowhere", "--style", "rain"], "of use to --fill bank only"),
        ([*COMMAND, "--style", "sunflowers"], "sunflowers"),
        (["keyframes", "synthetic:64x48", "clip.mp4", *COMMAND[3:]], "clip.mp4 exists already"),
        (["keyframes", "none.mp4", *COMMAND[2:]], "there is no such file"),
        (["keyframes", "clip.mp4", "out.xyz", *COMMAND[3:]], "out.xyz"),
        ([*COMMAND, "--preview", "-1"], "shows nothing"),
    ],
)
def test_bad_requests_are_refused_in_one_line(folder: Path, arguments: list[str], said: str, capsys: Captured) -> None:
    assert run(arguments) in (1, 2)
    line = capsys.readouterr().err
    assert line.startswith("videostyle: ")
    assert said in line
    assert line.count("\n") == 1
    assert not list(folder.glob("*out*"))


def test_keyframes_past_the_end_are_found_out_before_painting(folder: Path, capsys: Captured) -> None:
    assert run([*COMMAND, "--at", "0,12"]) == 2
    assert "there is no frame 12: the film has 12, from 0" in capsys.readouterr().err
    assert kept(Path("out.mp4.work")) == set()
