"""Networks that can be trained on, in files: `.keras`, of which nothing but known layers is ever built."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mhealth.core import replacing, unwritable
from mhealth.errors import InvalidParameterError, ModelFileError
from mhealth.nn._backend import require_keras

if TYPE_CHECKING:
    import keras

__all__ = ["load_keras", "save_keras"]

_KNOWN = {
    "Functional", "InputLayer", "Conv1D", "Add", "Concatenate", "Reshape", "SpatialDropout1D",
    "HeNormal", "Zeros", "DTypePolicy", "__keras_tensor__", "__tuple__",
}  # fmt: skip
"""Classes that our networks are made of; Keras builds more, some of which run code from the file."""


def save_keras(network: keras.Model, path: str | Path) -> None:
    """Write a network to a ``.keras`` file, as a whole or not at all.

    Parameters
    ----------
    network : keras.Model
        From `unet` or `tcn`.
    path : path-like

    Raises
    ------
    InvalidParameterError
        If the name does not end in ``.keras``.
    UnwritableOutputError
        If the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise InvalidParameterError(f"path={str(path)!r} must end in .keras.")
    with unwritable(path), replacing(path) as temporary:
        named = temporary.with_name(temporary.name + ".keras")  # Keras insists
        try:
            network.save(named)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)


def load_keras(path: str | Path) -> keras.Model:
    """Read a network from a ``.keras`` file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    network : keras.Model
        Ready for training or conversion.

    Raises
    ------
    MissingExtraError
        If TensorFlow is not installed.
    ModelFileError
        If the file is damaged, or holds anything but the layers that our networks have: code in it never runs.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ModelFileError(
            f"{path}: is no .keras file, or a damaged one ({error}). Expected one written by save_keras."
        ) from error
    foreign = sorted(set(_classes(config)) - _KNOWN)
    if foreign:
        raise ModelFileError(
            f"{path}: holds {', '.join(foreign)}, of which our networks have none; it is not loaded, for it could run "
            "code. Train a network with mhealth, or build it anew and copy its weights."
        )
    keras = require_keras()
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # damage makes h5py and Keras raise nearly anything
        raise ModelFileError(f"{path}: is damaged ({error}). Copy the file again, or train anew.") from error


def _classes(config: Any) -> Iterator[str]:
    """Yield the name of every class in a configuration, with its package if that is not Keras."""
    if isinstance(config, list):
        for entry in config:
            yield from _classes(entry)
    elif isinstance(config, dict):
        if "class_name" in config:
            package = str(config.get("module") or "keras").partition(".")[0]
            yield str(config["class_name"]) if package == "keras" else f"{package}.{config['class_name']}"
        for entry in config.values():
            yield from _classes(entry)
