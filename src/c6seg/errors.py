"""Every error that c6seg raises on purpose.

::

    C6segError
    ├── UsageError (ValueError)            an option or argument that cannot be used
    │   └── ConfigError                    a configuration key or value that is not allowed
    ├── DataError                          something is wrong with the user's files
    │   ├── ImageNotFoundError (FileNotFoundError)
    │   ├── ImageReadError (ValueError)    the file is there but is no readable image
    │   │   └── ImageTooLargeError         refused before decoding
    │   ├── AnnotationError (ValueError)   a mask or shape that does not fit
    │   ├── LayoutError (ValueError)       a folder that is no known data-set layout
    │   └── DownloadError (ConnectionError)   a file that cannot be fetched, or arrived damaged
    ├── ModelError
    │   ├── BundleError (ValueError)       a bundle that is incomplete, altered, or does not reproduce its example
    │   ├── EngineError (RuntimeError)     what runs a network cannot start, or failed while it ran
    │   └── WeightsNotFoundError (FileNotFoundError)
    ├── TrainingError (RuntimeError)       a training that cannot start or go on
    │   └── DivergedError                  its loss is no longer a number
    ├── OutputError (OSError)              results cannot be written: disk full, no permission, name taken
    └── MissingExtraError (ImportError)    an optional part is not installed; the message has the install line

Interfaces catch :class:`C6segError`, print its message as one line, and exit with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AnnotationError",
    "BundleError",
    "C6segError",
    "ConfigError",
    "DataError",
    "DivergedError",
    "DownloadError",
    "EngineError",
    "ImageNotFoundError",
    "ImageReadError",
    "ImageTooLargeError",
    "LayoutError",
    "MissingExtraError",
    "ModelError",
    "OutputError",
    "TrainingError",
    "UsageError",
    "WeightsNotFoundError",
    "did_you_mean",
]


class C6segError(Exception):
    """Root of all errors raised on purpose."""


class UsageError(C6segError, ValueError):
    """An option or argument that cannot be used."""


class ConfigError(UsageError):
    """A configuration key or value that is not allowed."""


class DataError(C6segError):
    """Something is wrong with the user's files."""


class ImageNotFoundError(DataError, FileNotFoundError):
    """No image is where one was expected."""


class ImageReadError(DataError, ValueError):
    """The file exists but is no readable image."""


class ImageTooLargeError(ImageReadError):
    """The image is larger than the limit; nothing was decoded."""


class AnnotationError(DataError, ValueError):
    """A mask or shape that does not fit its image or cannot be read."""


class LayoutError(DataError, ValueError):
    """A path that is no known data-set layout."""


class DownloadError(DataError, ConnectionError):
    """A file that cannot be fetched from the web, or that arrived damaged."""


class ModelError(C6segError):
    """Something is wrong with a model."""


class BundleError(ModelError, ValueError):
    """A bundle that is incomplete, altered, or does not reproduce its example."""


class EngineError(ModelError, RuntimeError):
    """What runs a network cannot start, or failed while it ran."""


class WeightsNotFoundError(ModelError, FileNotFoundError):
    """Pre-trained weights are not on this machine."""


class TrainingError(C6segError, RuntimeError):
    """A training that cannot start or go on."""


class DivergedError(TrainingError):
    """A training whose loss is no longer a number."""


class OutputError(C6segError, OSError):
    """Results cannot be written: disk full, no permission, name taken."""


class MissingExtraError(C6segError, ImportError):
    """An optional part is not installed.

    Parameters
    ----------
    what
        What the user asked for, e.g. ``"Training"``.
    extra
        Name of the extra that brings it, e.g. ``"train"``.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part that is not installed. Run: pip install 'c6seg[{extra}]'")


def did_you_mean(given: str, allowed: Iterable[str], *, what: str) -> str:
    """Say that a name is unknown, with the nearest allowed names first.

    Parameters
    ----------
    given
        The name that was not found.
    allowed
        All names that would have been accepted.
    what
        What the name stands for, e.g. ``"encoder"``.

    Examples
    --------
    >>> did_you_mean("resnet5", ["resnet50", "vgg19"], what="encoder")
    "Unknown encoder 'resnet5'. Did you mean 'resnet50'? Allowed: resnet50, vgg19."
    """
    names = sorted(allowed)
    lower = {name.lower(): name for name in names}
    close = [lower[match] for match in difflib.get_close_matches(given.lower(), lower, n=2, cutoff=0.5)]
    hint = f" Did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
    return f"Unknown {what} {given!r}.{hint} Allowed: {', '.join(names) or 'none'}."
