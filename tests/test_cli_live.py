"""``videostyle live`` from end to end without a window: options, outputs, signals, faults and hours."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.banks import tiny_bank, tiny_transformer_bank
from tests.clips import decoded
from videostyle.cli import run
from videostyle.cli.common import Painting
from videostyle.cli.live import keyed, source_options, whole_bank
from videostyle.errors import UsageError
from videostyle.library import HOME_VARIABLE, Library
from videostyle.sinks import open_sink
from videostyle.sources.synthetic import SyntheticSource

Captured = pytest.CaptureFixture[str]
PATIENCE = 60.0
SOAK = float(os.environ.get("VIDEOSTYLE_SOAK_SECONDS", "20"))
"""How long the soak lasts: 600 is what a release should have."""


def furnish(place: Path, patch: pytest.MonkeyPatch) -> None:
    own = place / "home" / "styles"
    own.mkdir(parents=True)
    tiny_bank().save(own / "tiny.safetensors")
    tiny_transformer_bank().save(own / "other.safetensors")
    patch.setenv(HOME_VARIABLE, str(place / "home"))
    patch.setenv("OMP_NUM_THREADS", "1")
    patch.setenv("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The present folder: clip.mp4 of a second, and home with two styles of one net and one of another."""
    furnish(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    before = set(threading.enumerate())
    yield tmp_path
    assert set(threading.enumerate()) - before == set()


def make_clip(path: Path) -> None:
    source = SyntheticSource("64x48", frames=30)
    with open_sink(path, source.info) as sink:  # type: ignore[attr-defined]
        for frame in source:
            sink.write(frame)


LIVE = ["live", "--style", "rain", "--device", "cpu", "--no-window", "--json"]


def test_a_file_is_painted_at_its_own_pace(capsys: Captured) -> None:
    make_clip(Path("clip.mp4"))
    assert run([*LIVE, "--source", "clip.mp4", "--record", "out.mp4"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["seconds"] >= 0.9
    assert report["frames_in"] == 30
    assert report["frames_out"] + report["dropped"] == 30
    assert report["output"] == "out.mp4"
    assert report["size"] == [64, 48]
    frames = decoded(Path("out.mp4"))
    assert 0 < len(frames) <= report["frames_out"]
    assert [path.name for path in Path().glob("*out*")] == ["out.mp4"]


def test_a_loop_ends_after_its_duration_and_shrinks(capsys: Captured) -> None:
    make_clip(Path("clip.mp4"))
    options = ["--loop", "--duration", "2", "--max-side", "32", "--target-fps", "15"]
    assert run([*LIVE, "--source", "clip.mp4", *options, "--record", "out.mp4"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert 2 <= report["seconds"] < PATIENCE
    assert report["size"] == [32, 24]
    times = [frame.seconds for frame in decoded(Path("out.mp4"))]
    assert times == sorted(set(times))
    assert times[-1] > 1.2, "later than the clip is long"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--no-window"], 2, "--no-window leaves nowhere to paint to"),
        (["--source", "missing.mp4", "--record", "out.mp4"], 2, "there is no such file"),
        (["--source", "synthetic:64x48", "--record", "none/out.mp4"], 2, "does not exist"),
        (["--source", "synthetic:64x48", "--loop", "--record", "out.mp4"], 2, "--loop"),
        (["--source", "synthetic:64x48", "--record", "out.mp4", "--style", "sunflowers"], 2, "sunflowers"),
        (["--source", "webcam:63", "--record", "out.mp4"], 2, "camera 63"),
        (["--duration", "0"], 2, "duration"),
    ],
)
def test_bad_requests_are_one_line(arguments: list[str], code: int, said: str, capsys: Captured) -> None:
    assert run(["live", "--device", "cpu", "--no-window", *arguments]) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not list(Path().glob("*out*"))


def test_no_screen_is_one_line(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    monkeypatch.setenv("DISPLAY", ":987")
    assert run(["live", "--source", "synthetic:64x48", "--style", "rain"]) == 1
    err = capsys.readouterr().err
    assert "no window can be opened here" in err
    assert "--no-window" in err
    assert err.count("\n") == 1


def test_all_styles_of_one_net_are_there_to_switch_to() -> None:
    own = Path("home/styles")
    tiny_bank("identity", "snow", styles_seed=3).save(own / "snow.safetensors")
    painting = Painting("rain", 1.0, False, None, "auto", "auto", "cpu")
    mix, bank = whole_bank(painting, Library(shipped=Path("none"), own=own))
    assert str(mix) == "rain"
    assert set(bank.names) == {"identity", "rain", "sun", "snow"}


def test_a_source_is_not_recorded_over(capsys: Captured) -> None:
    make_clip(Path("clip.mp4"))
    clip = Path("clip.mp4").read_bytes()
    assert run([*LIVE, "--source", "clip.mp4", "--record", "clip.mp4", "--force"]) == 2
    assert "is the input itself" in capsys.readouterr().err
    assert Path("clip.mp4").read_bytes() == clip


def test_own_styles_have_keys() -> None:
    shipped = [f"style-{number}" for number in range(12)]
    assert keyed([*shipped, "mine"], {"mine"}) == (*shipped[:8], "mine", *shipped[8:])
    assert keyed(["rain", "mine"], {"mine"}) == ("rain", "mine")
    own = [f"own-{number}" for number in range(11)]
    assert keyed([*shipped, *own], set(own)) == (*own, *shipped)


def test_sources_get_the_options_that_they_have() -> None:
    make_clip(Path("clip.mp4"))
    flags: dict[str, Any] = {"mirror": True, "reconnect": False}
    assert source_options("webcam:0", loop=False, **flags) == {"mirror": True, "reconnect": False}
    assert source_options("rtsp://camera/1", loop=False, **flags) == {"reconnect": False}
    assert source_options("clip.mp4", loop=True, **flags) == {"loop": True}
    assert source_options("synthetic:", loop=False, **flags) == {}
    with pytest.raises(UsageError, match="--loop"):
        source_options("webcam:0", loop=True, **flags)


class Session:
    """``videostyle live`` in a process of its own, recording to out.mp4."""

    def __init__(self, *options: str, size: str = "64x48", folder: Path = Path()) -> None:
        self.folder = folder
        arguments = [*LIVE, "--source", f"synthetic:{size}", "--record", "out.mp4", *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-m", "videostyle", *arguments], cwd=folder, **pipes
        )  # type: ignore[call-overload]

    def wait_for_recording(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not any(path.stat().st_size > 40 for path in self.folder.glob("*out*")):
            assert self.process.poll() is None, self.end()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def end(self) -> tuple[int, str, str]:
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
        return self.process.returncode, out, err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals for one process")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)] * 3)
def test_signals_at_any_moment_leave_a_recording_that_plays(number: signal.Signals, code: int) -> None:
    session = Session()
    session.wait_for_recording()
    time.sleep(random.uniform(0, 1.5))
    session.process.send_signal(number)
    asked = time.monotonic()
    returned, out, err = session.end()
    seconds = time.monotonic() - asked
    assert returned == code, err
    assert "Traceback" not in err
    assert seconds < 15, "half a second on a machine that has nothing else to do"
    if json.loads(out).get("frames_out"):
        frames = decoded(Path("out.mp4"))
        assert 0 < len(frames) <= json.loads(out)["frames_out"]
    assert not list(Path().glob("*partial*"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits on files")
def test_a_full_disk_ends_the_recording_and_the_exit_code_says_so(capsys: Captured) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        code = run([*LIVE, "--source", "synthetic:320x240", "--record", "out.mp4", "--duration", "60"])
    finally:
        signal.signal(signal.SIGXFSZ, handler)
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr()
    assert code == 1
    assert "out.mp4" in said.err
    assert "disk" in said.err


def vitals(process: int) -> tuple[float, int, int]:
    """Resident memory in MB, threads and open files of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    facts = dict(line.split(":", 1) for line in status.splitlines())
    memory = int(facts["VmRSS"].split()[0]) * 1024 / 1e6
    return memory, int(facts["Threads"]), len(os.listdir(f"/proc/{process}/fd"))


def watched(session: Session) -> tuple[tuple[int, str, str], list[tuple[float, int, int]]]:
    """What a session says that runs for ``SOAK`` seconds and is interrupted, and its vitals meanwhile."""
    session.wait_for_recording()
    time.sleep(SOAK / 4)
    seen = [vitals(session.process.pid)]
    for _ in range(30):
        time.sleep(SOAK / 40)
        seen.append(vitals(session.process.pid))
    session.process.send_signal(signal.SIGINT)
    return session.end(), seen


@pytest.fixture(scope="module", autouse=True)
def soaking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Any] | None]:
    """A session that runs beside the tests of this file."""
    wanted = any(item.name == "test_hours_change_nothing" for item in request.session.items)
    if not (wanted and sys.platform.startswith("linux")):
        yield None
        return
    place = tmp_path_factory.mktemp("soak")
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        furnish(place, patch)
        session = Session(size="160x120", folder=place)
        patch.undo()
        try:
            yield pool.submit(watched, session)
        finally:
            session.process.kill()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at the process in /proc")
def test_hours_change_nothing(soaking: Future[Any]) -> None:
    (code, out, err), seen = soaking.result()
    assert code == 130, err
    memory, *others = np.transpose(seen)
    for counted in others:
        assert np.abs(counted - counted[0]).max() <= 2
    grown = float(np.mean(memory[-10:]) - np.mean(memory[1:11]))
    assert grown < 10, f"{grown:.1f} MB in {SOAK / 2:.0f} s: {memory}"
    assert json.loads(out)["frames_out"] > SOAK
