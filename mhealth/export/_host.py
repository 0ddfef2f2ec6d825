"""C on this machine: compiled with every warning an error and under sanitizers, fed whole numbers, read back."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import MissingToolError

__all__ = ["RUNTIME", "STRICT", "compile_c", "run_program"]

RUNTIME = Path(__file__).parent / "runtime"
"""The hand-written C that every export takes its files from."""

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wsign-conversion", "-pedantic")
"""Flags under which the runtime and what is generated compile without a word."""

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")


def compile_c(
    sources: Sequence[Path], out: Path, *, include: Sequence[Path] = (), flags: Sequence[str] = ("-O1", *SANITIZERS)
) -> Path:
    """Compile C99 for this machine.

    Parameters
    ----------
    sources : sequence of Path
    out : Path
        Program to write.
    include : sequence of Path
        Folders of headers, beside `RUNTIME`.
    flags : sequence of str
        Beside `STRICT`; by default with sanitizers.

    Raises
    ------
    MissingToolError
        If there is no C compiler.
    RuntimeError
        If the compiler objects; holds what it said.
    """
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise MissingToolError("No C compiler was found (gcc, cc). Install one (Debian, Ubuntu: apt install gcc).")
    command = [compiler, *STRICT, *flags, *(f"-I{folder}" for folder in (RUNTIME, *include))]
    done = subprocess.run([*command, *map(str, sources), "-o", str(out)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, sources))} does not compile:\n{done.stderr}")
    return out


def run_program(
    program: Path | Sequence[str], numbers: NDArray[np.int32], *, timeout: float = 300.0
) -> NDArray[np.int32]:
    """Feed int32 numbers to a program's standard input and return those that it writes, little-endian.

    Raises
    ------
    RuntimeError
        If it ends with an error, as it does when a sanitizer objects; holds what it said.
    """
    command = [str(program)] if isinstance(program, Path) else list(program)
    with tempfile.TemporaryFile() as given:
        given.write(np.ascontiguousarray(numbers, "<i4").tobytes())
        given.seek(0)
        done = subprocess.run(command, stdin=given, capture_output=True, timeout=timeout, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stderr.decode(errors='replace')}")
    return np.frombuffer(done.stdout, "<i4").astype(np.int32)
