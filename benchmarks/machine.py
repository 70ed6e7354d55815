"""What a figure was measured on, as ``videostyle bench`` says it too."""

from videostyle.benchmark.machine import describe as describe
