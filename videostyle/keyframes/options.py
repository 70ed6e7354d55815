"""How a film is painted offline; neither torch nor OpenCV here, so that the command line knows its options at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from videostyle.errors import UsageError

FLOWS = ("dis", "raft")
FILLS = ("warp", "optimize", "bank")


@dataclass(frozen=True, slots=True)
class KeyframeOptions:
    """Which frames are keyframes, how they agree, and what lies between.

    every, at: every so manieth frame of a scene is one, or these, counted from 0; neither: as the motion asks for.
    painted: folder of keyframes that someone painted; nothing else is one then.
    consistency: weight of the squared difference, in [0, 1], to the keyframes before, moved as the film moved.
    flow: how motion is found. fill: what is done where no keyframe shows anything.
    work: the folder of what is done; beside the output if None. flow_cache: megabytes of motion that it may hold.
    preview: seconds of the film to paint, small and rough; all of it if None.
    Raises UsageError for what makes no sense.
    """

    every: int | None = None
    at: tuple[int, ...] | None = None
    painted: Path | None = None
    consistency: float = 300.0
    flow: str = FLOWS[0]
    fill: str = FILLS[0]
    work: Path | None = None
    flow_cache: int = 4000
    preview: float | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.every, self.at, self.painted)) > 1:
            raise UsageError("keyframes are every N frames, or those named, or those painted: give one of the three")
        if self.every is not None and self.every < 1:
            raise UsageError(f"keyframes every {self.every} frames make no sense: 1 at least")
        if self.at is not None and (not self.at or min(self.at) < 0):
            raise UsageError("keyframes are named by frame numbers from 0, separated by commas")
        if self.consistency < 0 or self.flow_cache < 0:
            raise UsageError("neither consistency nor flow_cache may be negative")
        if self.flow not in FLOWS or self.fill not in FILLS:
            raise UsageError(f"flow is one of {', '.join(FLOWS)}, and fill one of {', '.join(FILLS)}")
        if self.preview is not None and self.preview <= 0:
            raise UsageError(f"a preview of {self.preview:g} seconds shows nothing")
