import errno
import importlib.metadata
import json
from collections import namedtuple
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.banks import tiny_bank
from videostyle.cli import run
from videostyle.doctor import CHECKS, Check, devices, examine, healthy, software
from videostyle.engines import ENGINES, EngineRow
from videostyle.errors import EngineError, SinkError, SourceError
from videostyle.library import Library
from videostyle.sources.v4l2 import Camera, Mode

Captured = pytest.CaptureFixture[str]
Usage = namedtuple("Usage", "free")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    for folder in ("shipped", "own"):
        (tmp_path / folder).mkdir()
    tiny_bank().save(tmp_path / "shipped" / "bank.safetensors")
    return Library(tmp_path / "shipped", tmp_path / "own")


def test_this_machine_can_paint(capsys: Captured) -> None:
    assert run(["doctor", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["healthy"] is True
    assert [check["name"] for check in said["checks"]] == list(CHECKS)
    assert all(check["mend"] for check in said["checks"] if check["status"] != "ok")
    assert all(set(check) == {"name", "status", "found", "mend"} for check in said["checks"])


def test_people_get_a_table_and_what_to_do(capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = {
        "wheel": Check("wheel", "warn", "it is [flat]", "pump it up"),
        "bell": Check("bell", "fail", "none", "buy one"),
    }
    monkeypatch.setattr("videostyle.doctor.examine", lambda: iter(rows.values()))
    assert run(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "it is [flat]" in said
    assert "mend: pump it up" in said
    assert "cannot paint videos on this computer" in said


def test_only_what_painting_needs_makes_it_fail() -> None:
    assert healthy([Check("a", "ok", ""), Check("b", "warn", "", "x")])
    assert not healthy([Check("a", "ok", ""), Check("b", "fail", "", "x")])


def test_a_check_that_breaks_is_a_finding() -> None:
    def broken() -> Check:
        raise ZeroDivisionError("in\nthe check")

    def without_package() -> Check:
        raise ImportError("No module named 'av'")

    found = list(examine({"vital": (broken, True), "other": (broken, False), "package": (without_package, True)}))
    assert [check.status for check in found] == ["fail", "warn", "fail"]
    assert found[0].found == "could not be checked (ZeroDivisionError: in the check)"
    assert [check.mend for check in found] == ["please report this", "please report this", "see packages"]


def test_python() -> None:
    assert software.python((3, 13, 1, "final", 0)).status == "ok"
    old = software.python((3, 9, 2, "final", 0))
    assert (old.status, old.mend[:14]) == ("fail", "install Python")


def test_packages() -> None:
    needs = ["av>=14", "numpy>=1.26", 'pyvirtualcam>=0.12; extra == "live"']

    def version(name: str) -> str:
        if name == "numpy":
            raise importlib.metadata.PackageNotFoundError(name)
        return "14.0"

    assert software.packages(lambda name: needs[:1], version) == Check("packages", "ok", "av 14.0")
    assert software.packages(lambda name: needs, version) == Check(
        "packages", "fail", "missing: numpy", "pip install numpy"
    )

    def unknown(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    assert software.packages(unknown).status == "warn"


def test_styles_are_loaded_and_compared_with_their_cards(library: Library, tmp_path: Path) -> None:
    assert software.styles(library) == Check("styles", "ok", "2 styles")
    bank = tmp_path / "shipped" / "bank.safetensors"
    data = bytearray(bank.read_bytes())
    data[-1] ^= 1
    bank.write_bytes(data)
    damaged = software.styles(library)
    assert damaged.status == "fail"
    assert damaged.found.startswith("0 styles\n")
    assert str(bank) in damaged.found
    (tmp_path / "own" / "noise.safetensors").write_bytes(b"no bank")
    assert "noise.safetensors" in software.styles(Library(tmp_path / "shipped", tmp_path / "own")).found


def test_a_damaged_file_among_good_ones_is_a_warning(library: Library, tmp_path: Path) -> None:
    (tmp_path / "own" / "noise.safetensors").write_bytes(b"no bank")
    found = software.styles(Library(tmp_path / "shipped", tmp_path / "own"))
    assert found.status == "warn"
    assert found.found.startswith("2 styles\n")


def test_engines_say_how_to_install_the_others() -> None:
    rows = {
        "pytorch": EngineRow("m", "torch", "pip install torch"),
        "abacus": EngineRow("m", "beads", "pip install beads"),
    }
    found = software.engines(rows, lambda name: "2.6", lambda name: name if name == "torch" else None)
    assert found == Check("engines", "ok", "pytorch (torch 2.6)\nabacus is not installed: pip install beads")
    none = software.engines(rows, lambda name: "2.6", lambda name: None)
    assert none.status == "fail"
    assert "pip install torch" in none.mend


def test_painting_is_tried(library: Library, tmp_path: Path) -> None:
    found = software.painting(library, size=(16, 8))
    assert found.status == "ok"
    assert found.found.startswith(tuple(ENGINES))

    def refuse(bank: object) -> Any:
        raise EngineError("no memory")

    assert software.painting(library, refuse).found == "no memory"
    assert software.painting(library, refuse).status == "fail"
    assert software.painting(Library(tmp_path / "own", tmp_path / "own")).status == "fail"


@pytest.mark.parametrize(
    ("there", "status", "said"),
    [
        (["libx264", "h264_nvenc"], "ok", "libx264, h264_nvenc"),
        (["libx264"], "ok", "no hardware encoder"),
        (["h264_nvenc"], "warn", "h264_nvenc"),
        ([], "fail", "none"),
    ],
)
def test_encoders(there: list[str], status: str, said: str) -> None:
    found = software.encoders(lambda: there)
    assert found.status == status
    assert said in found.found
    assert (found.mend == "") == (status == "ok")


def torch_with(cuda: int = 0, mps: bool = False) -> Any:
    return SimpleNamespace(
        __version__="2.6+cpu",
        cuda=SimpleNamespace(
            is_available=lambda: cuda > 0,
            device_count=lambda: cuda,
            mem_get_info=lambda number: (5 << 30, 8 << 30),
            get_device_name=lambda number: "Fast 9000",
        ),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
    )


def test_graphics_cards() -> None:
    two = devices.graphics_card(torch_with(cuda=2))
    assert two.found.splitlines()[1] == "cuda:1 Fast 9000, 8.0 GB, 5.0 free"
    assert devices.graphics_card(torch_with(mps=True)).found.startswith("mps")
    idle = devices.graphics_card(torch_with(), lambda: "Fast 9000, 8192 MiB")
    assert idle.status == "warn"
    assert idle.found == "Fast 9000, 8192 MiB, but torch 2.6+cpu cannot use it"
    assert devices.graphics_card(torch_with(), lambda: "").status == "ok"


def opencv() -> Any:
    return SimpleNamespace(__version__="5.0")


def test_cameras_are_listed_with_their_modes() -> None:
    camera = Camera(2, "HD Webcam", Path("/dev/video2"))
    modes = [Mode("MJPG", 1280, 720, Fraction(30))] * 6
    found = devices.cameras(lambda: [camera], lambda path: modes, opencv, "linux")
    assert found.status == "ok"
    assert found.found.startswith("OpenCV 5.0\n2 HD Webcam: 1280x720 at 30 fps MJPG, ")
    assert found.found.endswith(" and 2 more")

    def closed(path: Path) -> list[Mode]:
        raise PermissionError(errno.EACCES, "Permission denied")

    refused = devices.cameras(lambda: [camera], closed, opencv, "linux")
    assert refused.status == "warn"
    assert "usermod -aG video" in refused.mend
    assert devices.cameras(list, closed, opencv, "linux").mend.startswith("plug one in")
    assert devices.cameras(list, closed, opencv, "win32").status == "ok"

    def missing() -> Any:
        raise SourceError("webcams need OpenCV")

    assert devices.cameras(opencv=missing).mend == "pip install opencv-python-headless"


def test_the_virtual_camera_of_linux(tmp_path: Path) -> None:
    def look() -> Check:
        return devices.virtual_camera("linux", tmp_path / "module", tmp_path / "devices")

    assert look().found == "the module v4l2loopback is not loaded"
    assert "exclusive_caps=1" in look().mend
    parameters = tmp_path / "module" / "v4l2loopback" / "parameters"
    parameters.mkdir(parents=True)
    assert look().found == "v4l2loopback has no device"
    (tmp_path / "devices" / "video10").mkdir(parents=True)
    (parameters / "exclusive_caps").write_text("N,N,N\n")
    assert "without exclusive_caps" in look().found
    (parameters / "exclusive_caps").write_text("Y,N,N\n")
    (tmp_path / "module" / "v4l2loopback" / "version").write_text("0.12.7\n")
    assert look() == Check("virtual camera", "ok", "v4l2loopback 0.12.7: /dev/video10")


def test_the_virtual_camera_elsewhere() -> None:
    def refuse() -> str:
        raise SinkError("no virtual camera opens ('obs' backend: none): install OBS")

    assert devices.virtual_camera("win32", open_camera=lambda: "OBS Virtual Camera").status == "ok"
    found = devices.virtual_camera("darwin", open_camera=refuse)
    assert found.status == "warn"
    assert "OBS" in found.mend


@pytest.mark.parametrize(
    ("environment", "platform", "status"),
    [
        ({"DISPLAY": ":0"}, "linux", "ok"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", "ok"),
        ({}, "linux", "warn"),
        ({}, "win32", "ok"),
    ],
)
def test_windows_need_a_screen(environment: dict[str, str], platform: str, status: str) -> None:
    assert devices.window(environment, platform).status == status


@pytest.mark.parametrize("check", [devices.this_folder, devices.own_styles])
def test_folders_are_written_to(check: Callable[..., Check], tmp_path: Path) -> None:
    plenty, little = (lambda path: Usage(1 << 40)), (lambda path: Usage(1 << 20))
    assert check(tmp_path / "new" / "one", plenty).found == f"{tmp_path / 'new' / 'one'}: 1024.0 GB free"
    assert check(tmp_path, little).status == "warn"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    blocked = check(tmp_path / "file", plenty)
    assert blocked.status == "warn"
    assert blocked.found == f"{tmp_path / 'file'} cannot be written: Not a directory"
