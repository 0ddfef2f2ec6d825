"""The exception tree of `mhealth`.

Every error derives from `MHealthError` and from the built-in that a caller would expect, so that
`except ValueError` keeps working. Messages name the value, what was expected and the remedy.
"""

from __future__ import annotations

__all__ = [
    "AnnotationError",
    "InvalidParameterError",
    "InvalidSignalError",
    "MHealthError",
    "MissingExtraError",
    "MissingToolError",
    "ModelFileError",
    "NotFittedError",
    "RecordingFileError",
    "StreamError",
    "UnwritableOutputError",
]


class MHealthError(Exception):
    """Root of every error that `mhealth` raises on purpose."""


class InvalidParameterError(MHealthError, ValueError):
    """A parameter has a value that the algorithm cannot use."""


class InvalidSignalError(MHealthError, ValueError):
    """A signal has a shape, type, rate or content that cannot be processed."""


class AnnotationError(MHealthError, ValueError):
    """Annotations contradict themselves or the recording that they belong to."""


class StreamError(MHealthError, ValueError):
    """A chunk does not continue its stream, or the stream has ended."""


class RecordingFileError(MHealthError, OSError):
    """A recording or annotation file is missing, truncated or malformed."""


class UnwritableOutputError(MHealthError, OSError):
    """A result could not be written where the user asked for it."""


class ModelFileError(MHealthError, ValueError):
    """A model file is truncated, of another version, or no model at all."""


class NotFittedError(MHealthError, AttributeError, ValueError):
    """An estimator was used before `fit`."""


class MissingExtraError(MHealthError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""


class MissingToolError(MHealthError, OSError):
    """A program that is needed, such as a C compiler, is not installed; the message names its package."""
