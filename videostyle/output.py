"""Output files: refused before work starts where they cannot be, visible under their name only when whole."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from videostyle.errors import SinkError, UsageError


def check_target(path: Path, *, force: bool) -> None:
    """Raises UsageError where ``path`` exists already (and not ``force``) or is a folder, and where its folder is
    missing or cannot be written to: nothing was started yet."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the output a file name")
    if path.exists() and not force:
        raise UsageError(f"{path} exists already; choose another name, or overwrite it with --force")
    folder = path.parent
    if not folder.is_dir():
        raise UsageError(f"{path}: the folder {folder} does not exist; create it first")
    try:  # trying is the only test that is right on every file system
        handle, probe = tempfile.mkstemp(prefix=".videostyle-", dir=folder)
        os.close(handle)
        os.unlink(probe)
    except OSError as exc:
        raise UsageError(str(write_error(exc, path))) from exc


def hidden_name(path: Path) -> Path:
    """Where ``path`` is written until it is whole: hidden, in the same folder, of the same suffix, one per process."""
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


def partial_name(path: Path) -> Path:
    """Where the usable part of an interrupted output ends up: visible, next to the target, and no file yet."""
    number, found = 1, path.with_name(f"{path.stem}.partial{path.suffix}")
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}.partial-{number}{path.suffix}")
    return found


def write_error(exc: OSError, path: Path) -> SinkError:
    """The SinkError that says what a failed write means, and what to do."""
    code = exc.errno
    if code in (errno.ENOSPC, errno.EDQUOT):
        return SinkError(f"{path}: the disk of {path.parent} is full; free some space or write to another disk")
    if code == errno.EFBIG:
        return SinkError(f"{path}: the file got larger than the disk of {path.parent} allows; write to another disk")
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return SinkError(f"{path}: no permission to write to {path.parent}; choose another folder")
    reason = exc.strerror or str(exc) or type(exc).__name__
    return SinkError(f"{path} cannot be written: {reason}")
