"""The `wfdb` package, imported on first use: it takes a second, and calls pandas in a way that pandas 3 deprecates."""

from __future__ import annotations

import warnings
from types import ModuleType

__all__ = ["wfdb_package"]


def wfdb_package() -> ModuleType:
    """Return the module `wfdb`, without the deprecation warnings that concern its authors only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import wfdb
    return wfdb
