"""Loops over typed arrays, compiled by numba: no validation, no defaults; callers own every buffer.

numba keeps compiled kernels beside these files. Where site-packages is read-only, importing this package
sends them to a folder of the user's instead, before numba is imported.
"""

import os
import tempfile
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """Return the folder that keeps the compiled kernels.

    Returns
    -------
    folder : Path
        ``NUMBA_CACHE_DIR`` if set, else ``__pycache__`` beside the kernels, else ``mhealth`` in the user's cache
        folder, else a new temporary folder (never a guessable one: another user could plant code in it).
    """
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen)
    users = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    for folder in (Path(__file__).parent / "__pycache__", users / "mhealth"):
        if not folder.is_absolute():  # a user without a home
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        return folder
    return Path(tempfile.mkdtemp(prefix="mhealth-kernels-"))


_folder = cache_folder()
if _folder.parent != Path(__file__).parent:
    os.environ["NUMBA_CACHE_DIR"] = str(_folder)
