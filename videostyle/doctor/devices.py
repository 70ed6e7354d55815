"""Check-ups of what is plugged in: graphics card, cameras, screen, disks."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from videostyle.doctor.check import Check
from videostyle.errors import SinkError, SourceError
from videostyle.library import own_folder
from videostyle.sinks.virtual_camera import driver_hint
from videostyle.sources import v4l2

_GIGABYTE = 1 << 30
_LITTLE_SPACE = 2 * _GIGABYTE
_MODES = 4


def graphics_card(torch: Any = None, smi: Callable[[], str] | None = None) -> Check:
    """What torch can paint on besides the processor, and a card that it cannot use."""
    name = "graphics card"
    torch = importlib.import_module("torch") if torch is None else torch
    if torch.cuda.is_available():
        lines = []
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            memory = f"{total / _GIGABYTE:.1f} GB, {free / _GIGABYTE:.1f} free"
            lines.append(f"cuda:{number} {torch.cuda.get_device_name(number)}, {memory}")
        return Check(name, "ok", "\n".join(lines))
    if torch.backends.mps.is_available():
        return Check(name, "ok", "mps: Apple's, with the memory of the system")
    cards = (_nvidia_smi if smi is None else smi)()
    if cards:
        build = f"torch {torch.__version__} cannot use it"
        return Check(name, "warn", f"{cards}, but {build}", "https://pytorch.org/get-started: the build for CUDA")
    return Check(name, "ok", "none that torch can use: the processor paints")


def cameras(
    find: Callable[[], Sequence[v4l2.Camera]] = v4l2.cameras,
    modes: Callable[[Path], Sequence[v4l2.Mode]] = v4l2.modes,
    opencv: Callable[[], Any] | None = None,
    platform: str = sys.platform,
) -> Check:
    """OpenCV, and on Linux the cameras with their modes."""
    from videostyle.sources.webcam import import_cv2

    try:
        version = (import_cv2 if opencv is None else opencv)().__version__
    except SourceError as error:
        return Check("cameras", "warn", str(error), "pip install opencv-python-headless")
    if not platform.startswith("linux"):
        return Check("cameras", "ok", f"OpenCV {version}; they have no names here: try videostyle live")
    found, closed = list(find()), []
    lines = [f"OpenCV {version}"]
    for camera in found:
        try:
            listed = list(modes(camera.path))
            shown = ", ".join(str(mode) for mode in listed[:_MODES])
            more = f" and {len(listed) - _MODES} more" if len(listed) > _MODES else ""
            lines.append(f"{camera.index} {camera.name}: {shown or 'modes unknown'}{more}")
        except OSError as error:
            closed.append(camera)
            lines.append(f"{camera.index} {camera.name}: {error.strerror}")
    if closed:
        return Check("cameras", "warn", "\n".join(lines), "sudo usermod -aG video $USER, then log out and in again")
    if not found:
        mend = "plug one in; videostyle live --source CLIP.mp4 plays a file in its stead"
        return Check("cameras", "warn", "\n".join([*lines, "no camera"]), mend)
    return Check("cameras", "ok", "\n".join(lines))


def virtual_camera(
    platform: str = sys.platform,
    modules: Path = Path("/sys/module"),
    devices: Path = Path("/sys/devices/virtual/video4linux"),
    open_camera: Callable[[], str] | None = None,
) -> Check:
    """The driver that other programs see as a camera."""
    name = "virtual camera"
    if importlib.util.find_spec("pyvirtualcam") is None:
        return Check(name, "warn", "pyvirtualcam is not installed", "pip install pyvirtualcam")
    if not platform.startswith("linux"):
        try:
            return Check(name, "ok", (_open_camera if open_camera is None else open_camera)())
        except SinkError as error:
            return Check(name, "warn", str(error).partition(": ")[0], driver_hint(platform))
    module = modules / "v4l2loopback"
    if not module.is_dir():
        return Check(name, "warn", "the module v4l2loopback is not loaded", driver_hint(platform))
    there = sorted(f"/dev/{device.name}" for device in devices.glob("video*"))
    exclusive = _text(module / "parameters" / "exclusive_caps")
    if not there or "Y" not in exclusive.upper():
        fault = "has no device" if not there else "runs without exclusive_caps: Chrome and others see no camera"
        return Check(name, "warn", f"v4l2loopback {fault}", f"sudo modprobe -r v4l2loopback && {driver_hint(platform)}")
    return Check(name, "ok", f"v4l2loopback {_text(module / 'version')}: {', '.join(there)}")


def window(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Check:
    """Whether ``videostyle live`` could show itself."""
    if importlib.util.find_spec("pygame") is None:
        return Check("window", "warn", "pygame-ce is not installed", "pip install pygame-ce")
    screen = environment.get("WAYLAND_DISPLAY") or environment.get("DISPLAY")
    if platform in ("win32", "darwin") or screen:
        return Check("window", "ok", f"pygame-ce, screen {screen}" if screen else "pygame-ce")
    mend = "start it from a desktop, or paint without a window: --no-window"
    return Check("window", "warn", "neither DISPLAY nor WAYLAND_DISPLAY is set", mend)


def this_folder(folder: Path | None = None, usage: Callable[[Path], Any] = shutil.disk_usage) -> Check:
    """Write access and space where one stands: outputs without a folder go there."""
    return _folder("this folder", Path.cwd() if folder is None else folder, usage)


def own_styles(folder: Path | None = None, usage: Callable[[Path], Any] = shutil.disk_usage) -> Check:
    """Write access and space where the user's own styles go."""
    return _folder("own styles", own_folder() if folder is None else folder, usage)


def _folder(name: str, folder: Path, usage: Callable[[Path], Any]) -> Check:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    try:  # trying is the only test that is right on every file system
        with tempfile.NamedTemporaryFile(prefix=".videostyle-", dir=there):
            pass
    except OSError as error:
        way = "set VIDEOSTYLE_HOME to a folder of your own" if name == "own styles" else "change to one of your own"
        return Check(name, "warn", f"{folder} cannot be written: {error.strerror}", way)
    free = usage(there).free
    found = f"{folder}: {free / _GIGABYTE:.1f} GB free"
    if free < _LITTLE_SPACE:
        return Check(name, "warn", found, "free some space: an hour of 720p takes one to three GB")
    return Check(name, "ok", found)


def _nvidia_smi() -> str:
    """Names and memory of NVIDIA's cards as their driver tells them; "" where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    return "; ".join(done.stdout.splitlines()) if done.returncode == 0 else ""


def _open_camera() -> str:
    from fractions import Fraction

    from videostyle.frame import StreamInfo
    from videostyle.sinks.virtual_camera import VirtualCameraSink

    sink = VirtualCameraSink("", StreamInfo(640, 360, Fraction(1, 30), rate=Fraction(30)))
    sink.close()
    return sink.device


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
