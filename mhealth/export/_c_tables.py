"""Constant tables of whole numbers as C source."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["c_array", "c_table"]


def c_array(kind: str, name: str, values: ArrayLike) -> str:
    """Return the definition of a constant array, row after row, in lines of up to 120 characters.

    Parameters
    ----------
    kind : str
        C type of its members.
    name : str
    values : array_like of int
    """
    numbers = np.asarray(values).ravel().tolist()
    lines, line = [], "   "
    for number in numbers:
        text = f" {_initialiser(number)},"
        if len(line) + len(text) > 120:
            lines.append(line)
            line = "   "
        line += text
    body = "\n".join([*lines, line])
    return f"static const {kind} {name}[{len(numbers)}] = {{\n{body}\n}};\n"


def c_table(kind: str, name: str, fields: Mapping[str, ArrayLike]) -> str:
    """Return the definition of a constant struct.

    Parameters
    ----------
    kind : str
        Its type.
    name : str
        Its name.
    fields : mapping of str to int or (nested) sequence of int
        Value of each member.

    Examples
    --------
    >>> print(c_table("mh_point_t", "origin", {"x": 0, "steps": [[1, 2], [3, 4]]}), end="")
    static const mh_point_t origin = {
        .x = 0,
        .steps = {{1, 2}, {3, 4}},
    };
    """
    lines = [f"    .{key} = {_initialiser(np.asarray(value).tolist())}," for key, value in fields.items()]
    return "\n".join([f"static const {kind} {name} = {{", *lines, "};\n"])


def _initialiser(value: int | list) -> str:
    """Return whole numbers as C writes them, lists in braces."""
    if isinstance(value, list):
        return f"{{{', '.join(map(_initialiser, value))}}}"
    # C has no negative literals: -2147483648 would be minus a number that does not fit.
    return f"{value + 1} - 1" if value == -(2**31) else f"{value}u" if value > 2**31 - 1 else str(value)
