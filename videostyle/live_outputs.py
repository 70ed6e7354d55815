"""Where the pictures of a live session go besides its window: recordings, a stream, a virtual camera, snapshots."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from videostyle.errors import VideoStyleError
from videostyle.frame import Frame, FrameSink, StreamInfo
from videostyle.pictures import write_picture
from videostyle.sinks import open_sink
from videostyle.sinks.several import SeveralSinks

RECORDING, CAMERA, STREAM = "recording", "virtual camera", "stream"
ENCODER_SLACK = 8
"""Frames that may wait for an encoder: it works in bursts, and a frame that it missed is missing for ever."""
_RECORDING_PATIENCE = 20.0
_SNAPSHOT_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was asked for.

    record: file to record to from the start. A recording begun by key without it gets a name of its own in the present
        folder; each further one gets a number. force: overwrite it.
    camera: the device of the virtual camera, "" for the first one; None leaves it off until its key is pressed.
    stream: an address to send to.
    encoding: keyword arguments of the sink that records.
    """

    record: Path | None = None
    force: bool = False
    camera: str | None = None
    stream: str | None = None
    encoding: Mapping[str, Any] = field(default_factory=dict)


class LiveOutputs:
    """Starts and ends them while frames run.

    opener: ``videostyle.sinks.open_sink`` or its like. told: gets a line for people about what happened.

    Raises, from the constructor, what opening those raises that were asked for from the start.
    """

    def __init__(
        self,
        sinks: SeveralSinks,
        info: StreamInfo,
        wanted: Outputs,
        told: Callable[[str], None],
        opener: Callable[..., FrameSink] = open_sink,
    ) -> None:
        self.sinks = sinks
        self._info, self._wanted, self._tell, self._open = info, wanted, told, opener
        self._given: set[Path] = set()
        self._saving: list[threading.Thread] = []
        if wanted.record is not None:
            self._record(self._open_recording(self._next_recording()))
        if wanted.camera is not None:
            camera = self._open_camera()
            sinks.start(CAMERA, lambda: camera)
        if wanted.stream is not None:
            stream = opener(wanted.stream, info)
            sinks.start(STREAM, lambda: stream, slack=ENCODER_SLACK)

    @property
    def recording(self) -> bool:
        return RECORDING in self.sinks.running

    @property
    def camera(self) -> bool:
        return CAMERA in self.sinks.running

    def toggle_recording(self) -> None:
        """Finish the recording, or begin one."""
        if self.recording:
            self.sinks.end(RECORDING)
            self._tell("recording ended")
            return
        path = self._next_recording()
        opener = self._telling(f"recording to {path}", lambda: self._open_recording(path))
        self.sinks.start(RECORDING, opener, slack=ENCODER_SLACK, patience=_RECORDING_PATIENCE)

    def toggle_camera(self) -> None:
        """Let the virtual camera go, or begin to feed it."""
        if self.camera:
            self.sinks.end(CAMERA)
            self._tell("virtual camera off")
            return
        self.sinks.start(CAMERA, self._telling("virtual camera on", self._open_camera))

    def save(self, frame: Frame) -> None:
        """Write a frame's picture as PNG into the present folder, in a thread of its own."""
        path = self._free(Path(_name("png")))
        thread = threading.Thread(target=self._save, args=(path, frame), name="snapshot", daemon=True)
        self._saving = [saving for saving in self._saving if saving.is_alive()] + [thread]
        thread.start()

    def close(self) -> None:
        """Wait for snapshots that are being written. The sinks are closed by whoever runs them."""
        for thread in self._saving:
            thread.join(_SNAPSHOT_PATIENCE)

    def _save(self, path: Path, frame: Frame) -> None:
        try:
            write_picture(path, frame.image)
            self._tell(f"saved {path}")
        except VideoStyleError as error:
            self._tell(str(error))

    def _record(self, sink: FrameSink) -> None:
        self.sinks.start(RECORDING, lambda: sink, slack=ENCODER_SLACK, patience=_RECORDING_PATIENCE)

    def _telling(self, line: str, opener: Callable[[], FrameSink]) -> Callable[[], FrameSink]:
        """An opener that says so once it is true."""

        def opened() -> FrameSink:
            sink = opener()
            self._tell(line)
            return sink

        return opened

    def _open_recording(self, path: Path) -> FrameSink:
        return self._open(path, self._info, force=self._wanted.force, **self._wanted.encoding)

    def _open_camera(self) -> FrameSink:
        return self._open(f"virtual-camera:{self._wanted.camera or ''}", self._info)

    def _next_recording(self) -> Path:
        wanted = self._wanted.record
        if wanted is None or wanted in self._given:
            return self._free(wanted or Path(_name("mp4")))
        self._given.add(wanted)
        return wanted

    def _free(self, path: Path) -> Path:
        """``path``, or the same with the first number for which there is no file yet, nor one on its way."""
        number, found = 1, path
        while found in self._given or found.exists():
            number += 1
            found = path.with_name(f"{path.stem}-{number}{path.suffix}")
        self._given.add(found)
        return found


def _name(suffix: str) -> str:
    return f"videostyle-{datetime.now():%Y%m%d-%H%M%S}.{suffix}"
