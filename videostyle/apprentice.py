"""Learning a style in a process of its own, at low priority, while something else goes on."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from videostyle.errors import StyleError
from videostyle.frame import Image
from videostyle.learned import LearnedStyle
from videostyle.library import Library
from videostyle.pictures import save_picture

SECONDS = 300
"""Time to learn in: beside a session that paints it takes about twice as long as alone."""
_INTERRUPTED = (130, -signal.SIGINT)
"""Exit codes of the command where Ctrl-C ended it, whether there was something to keep already or not."""
_PATIENCE = 20.0
"""Seconds that it may take to keep what it has when it is told to stop."""


class Apprentice:
    """Learns one style by ``videostyle learn``, which keeps it in the library; what it can so far is there meanwhile.

    picture: an image file, or uint8 RGB (H, W, 3). name: of the style. net: name of a style whose net it is learned on.
    options: more of the command's options. Whatever goes wrong is the ``outcome``.
    """

    def __init__(self, picture: Path | Image, name: str, net: str, options: Sequence[str] = ()) -> None:
        self.name = name
        self._began = perf_counter()
        self._folder = TemporaryDirectory(prefix="videostyle-")
        self._so_far, self._said = (Path(self._folder.name) / of for of in ("so-far.safetensors", "said.txt"))
        self._seen = 0
        self._outcome: str | None = None
        if not isinstance(picture, Path):
            image, picture = picture, Path(self._folder.name) / "picture.png"
            save_picture(picture, image)
        learn = [sys.executable, "-m", "videostyle", "learn", str(picture), "--name", name, "--net", net]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [*learn, "--seconds", str(SECONDS), "--so-far", str(self._so_far), *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for the session, which passes it on once
            )

    @property
    def seconds(self) -> float:
        """Since it began."""
        return perf_counter() - self._began

    def news(self) -> LearnedStyle | None:
        """The style as it is now, where it has become better since this was asked last."""
        with contextlib.suppress(OSError, StyleError):
            changed = self._so_far.stat().st_mtime_ns
            if changed != self._seen:
                style = LearnedStyle.load(self._so_far)
                self._seen = changed
                return style
        return None

    @property
    def outcome(self) -> str | None:
        """How it ended, in one line; None while it goes on."""
        code = self._process.poll()
        if self._outcome is None and code is not None:
            self._outcome = self._ending(code)
        return self._outcome

    def _ending(self, code: int) -> str:
        if code == 0 or (code in _INTERRUPTED and self._kept()):
            return f"{self.name} is learned, and kept"
        if code in _INTERRUPTED:
            return f"{self.name} was not learned: it was stopped before it had begun"
        said = self._said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"{self.name} was not learned: {said[-1].removeprefix('videostyle: ') if said else f'exit code {code}'}"

    def _kept(self) -> bool:
        with contextlib.suppress(StyleError):
            Library().find(self.name)
            return True
        return False

    def close(self) -> None:
        """Stop, keeping the best so far; idempotent."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGINT)
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        assert self.outcome is not None  # read from the folder before that goes
        self._folder.cleanup()
