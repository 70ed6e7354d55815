"""A check-up of this machine: what of videostyle works here, and how to mend the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from videostyle.doctor import devices, software
from videostyle.doctor.check import Check

__all__ = ["CHECKS", "Check", "examine", "healthy"]

CHECKS: Mapping[str, tuple[Callable[[], Check], bool]] = {
    "python": (software.python, True),
    "packages": (software.packages, True),
    "styles": (software.styles, True),
    "engines": (software.engines, True),
    "painting": (software.painting, True),
    "encoders": (software.encoders, True),
    "graphics card": (devices.graphics_card, False),
    "cameras": (devices.cameras, False),
    "virtual camera": (devices.virtual_camera, False),
    "window": (devices.window, False),
    "fonts": (software.fonts, False),
    "this folder": (devices.this_folder, False),
    "own styles": (devices.own_styles, False),
}
"""Name -> the check, and whether ``videostyle video`` depends on it."""


def examine(checks: Mapping[str, tuple[Callable[[], Check], bool]] = CHECKS) -> Iterator[Check]:
    """Makes the checks one by one; all of them take seconds, most of that for loading the net once.

    A check that breaks is a finding as well, never an exception.
    """
    for name, (check, vital) in checks.items():
        try:
            yield check()
        except Exception as error:
            found = " ".join(f"{type(error).__name__}: {error}".split())
            mend = "see packages" if isinstance(error, ImportError) else "please report this"
            yield Check(name, "fail" if vital else "warn", f"could not be checked ({found})", mend)


def healthy(checks: Iterable[Check]) -> bool:
    """Whether videos can be painted here."""
    return all(check.status != "fail" for check in checks)
