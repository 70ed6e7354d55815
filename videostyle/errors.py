"""The errors that videostyle raises.

::

    VideoStyleError          anything that is said in one line, without a traceback
    |-- UsageError           the request itself is wrong: an option, a name, a path (exit code 2)
    |   `-- StyleError       no such style, a mix that makes no sense, a style file that is none
    |-- SourceError          pictures or video cannot be read (exit code 2 when nothing was read yet)
    |-- SinkError            the output cannot be written: folder, disk, codec, size
    |-- EngineError          the net cannot run here: a missing package, device or precision
    `-- TrainingError        learning stopped: losses that are no numbers, no pictures, a foreign checkpoint

Every message says what is wrong and what to do about it, and names the file or the option.
"""


class VideoStyleError(Exception):
    """Base of all errors of this package. ``exit_code`` is what the command line ends with."""

    exit_code = 1


class UsageError(VideoStyleError):
    """The request itself is wrong; nothing was started."""

    exit_code = 2


class StyleError(UsageError):
    """A style, a mix of styles or a style file that cannot be used."""


class SourceError(VideoStyleError):
    """Frames cannot be read from a source."""

    exit_code = 2


class SinkError(VideoStyleError):
    """Frames cannot be written to a sink."""


class EngineError(VideoStyleError):
    """No engine can run the net as asked."""


class TrainingError(VideoStyleError):
    """Learning a style cannot start or go on."""
