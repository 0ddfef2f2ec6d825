"""What an export's folder holds beside the model: the runtime's files, templates filled in, golden vectors."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from mhealth.core import unwritable
from mhealth.errors import UnwritableOutputError
from mhealth.export._host import RUNTIME

__all__ = ["BEYOND", "MANIFEST", "c_values", "filled", "golden_header", "new_folder", "runtime_files"]

TEMPLATES = Path(__file__).parent / "templates"

MANIFEST = "manifest.json"
"""The file by which a folder is known as an export."""

BEYOND = 2**17
"""The sample of golden vectors that does not fit the 16 bits of a model."""

_INCLUDE = re.compile(r'^#include "(mh\w*)\.h"', re.MULTILINE)
_BLANK = re.compile(r"@(\w+)@")


def runtime_files(*sources: str) -> list[Path]:
    """Return the hand-written files that generated sources need: what they include, what that includes, and its code.

    Parameters
    ----------
    *sources : str
        C code.
    """
    found: dict[str, None] = {}
    waiting = [name for source in sources for name in _INCLUDE.findall(source)]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = None
        for path in _files_of(name):
            waiting += _INCLUDE.findall(path.read_text(encoding="utf-8"))
    return sorted(path for name in found for path in _files_of(name))


def _files_of(name: str) -> list[Path]:
    """Return the header of a part of the runtime, and its code if it has any."""
    return [path for path in (RUNTIME / f"{name}.h", RUNTIME / f"{name}.c") if path.exists()]


def filled(template: str, values: Mapping[str, object]) -> str:
    """Return a template with each ``@name@`` replaced.

    Parameters
    ----------
    template : str
        Name of the file among the templates.
    values : mapping
        Of every name that the template has.
    """
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    return _BLANK.sub(lambda match: str(values[match[1]]), text)


def c_values(values: ArrayLike) -> str:
    """Return whole numbers as a C initialiser lists them, lines of at most 120 characters."""
    numbers = map(str, np.asarray(values).ravel().tolist())
    lines, line = [], "   "
    for number in numbers:
        if len(line) + len(number) + 2 > 120:
            lines.append(line)
            line = "   "
        line += f" {number},"
    return "\n".join([*lines, line])


def golden_header(samples: ArrayLike, events: Sequence[Sequence[int]], banner: str) -> str:
    """Return ``golden.h``: samples, and the events that the twin finds in them.

    Samples take two bytes each, so that they have room on a board beside the model.

    Parameters
    ----------
    samples : array_like of int, shape (n,)
        ADC units that int16 holds but for its ends, or −2^31 where one is missing, or `BEYOND`.
    events : sequence of (label, flags, onset, peak, offset)
    banner : str
        What made it.
    """
    values = np.asarray(samples, np.int64)
    stored = np.select([values == -(2**31), values == BEYOND], [-(2**15), 2**15 - 1], values)
    assert (((values > -(2**15)) & (values < 2**15 - 1)) | (stored != values)).all()
    rows = [tuple(value - 2**32 if value >= 2**31 else value for value in row) for row in events]
    body = "\n".join(f"    {{{', '.join(map(str, row))}}}," for row in rows)
    return (
        f"/* {banner} */\n#ifndef GOLDEN_H\n#define GOLDEN_H\n\n#define GOLDEN_SAMPLES {len(values)}u\n"
        f"#define GOLDEN_EVENTS {len(rows)}u\n\n/* The ends of int16 stand for a missing sample and one too large. */\n"
        f"static const int16_t golden_samples[GOLDEN_SAMPLES] = {{\n{c_values(stored)}\n}};\n\n"
        "static inline int32_t golden_sample(uint32_t n)\n{\n    const int16_t value = golden_samples[n];\n"
        f"    return value == INT16_MIN ? MH_MISSING : value == INT16_MAX ? {BEYOND} : value;\n}}\n\n"
        "/* Label, flags, onset, peak (-1: none), offset. */\n"
        f"static const int32_t golden_events[GOLDEN_EVENTS][5] = {{\n{body}\n}};\n\n#endif\n"
    )


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a temporary folder beside `out`, which takes its place when the block ends well.

    After any error nothing is left of it, and a folder that was there before is untouched.

    Parameters
    ----------
    out : Path
        Folder to make; a former export in its place is replaced.

    Raises
    ------
    UnwritableOutputError
        If there is something else in its place, or it cannot be made.
    """
    if out.exists() and not (out.is_dir() and ((out / MANIFEST).is_file() or not any(out.iterdir()))):
        raise UnwritableOutputError(
            f"{out} exists and is no former export: it would be replaced. Choose another folder, or remove it."
        )
    mark = secrets.token_hex(4)
    temporary, former = (out.with_name(f".{out.name}.{mark}.{part}") for part in ("part", "old"))
    try:
        with unwritable(out):
            temporary.mkdir(parents=True)
        yield temporary
        with unwritable(out):
            if out.exists():
                out.rename(former)
            temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if not out.exists() and former.exists():
            former.rename(out)
        shutil.rmtree(former, ignore_errors=True)
