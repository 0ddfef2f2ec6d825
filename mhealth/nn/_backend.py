"""TensorFlow and LiteRT, which need not be installed."""

from __future__ import annotations

import os
from typing import Any

from mhealth.errors import MissingExtraError

__all__ = ["require_interpreter", "require_keras", "require_tensorflow"]


def require_tensorflow() -> Any:
    """Return the module `tensorflow`.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its banner is no news to our users
    try:
        import tensorflow
    except ImportError as error:
        raise MissingExtraError(
            "Networks are built and trained with TensorFlow, which is not installed: pip install 'mhealth[cnn]'."
        ) from error
    return tensorflow


def require_keras() -> Any:
    """Return the module `keras`, on TensorFlow.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    return require_tensorflow().keras


def require_interpreter() -> Any:
    """Return LiteRT's module `interpreter`.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        raise MissingExtraError(
            "Networks run on LiteRT, which is not installed: pip install 'mhealth[litert]' (for training, "
            "pip install 'mhealth[cnn]')."
        ) from error
    return interpreter
