"""Exported C built and run on this machine, on emulated microcontrollers and on another processor: events and cost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mhealth.export._budget import Load, Profile
from mhealth.export._folder import filled
from mhealth.export._host import SANITIZERS, compile_c, run_program
from mhealth.export._toolchain import HARNESS, ROOMY, Symbol, Target

__all__ = [
    "OPTIMISATION",
    "events_by",
    "events_on",
    "events_on_host",
    "floating_point",
    "host_program",
    "measured",
    "versions",
]

OPTIMISATION: dict[Profile, str] = {"size": "-Os", "speed": "-O2"}
"""What the compiler is told of each profile."""

_COLUMNS = 5  # label, flags, onset, peak, offset

_FLOATING = re.compile(r"__aeabi_[fd]|__\w+[sd]f\d|malloc|\w*printf")

Leads = Sequence[NDArray[np.int32]]


def events_on_host(
    folder: Path, name: str, leads: Leads, *, flags: Sequence[str] = ("-O1", *SANITIZERS), timeout: float = 3600.0
) -> list[NDArray[np.int32]]:
    """Return the events of leads by the C on this machine, under sanitizers unless other flags are given.

    Parameters
    ----------
    folder : Path
        Of the export.
    name : str
        Of the model.
    leads : sequence of ndarray of int32
        Samples in ADC units.
    flags : sequence of str
        For the compiler.
    timeout : float
        Seconds.

    Raises
    ------
    MissingToolError
        If there is no compiler.
    RuntimeError
        If it, or a sanitizer, objects.
    """
    with tempfile.TemporaryDirectory() as scratch:
        return events_by(host_program(folder, name, Path(scratch), flags=flags), leads, timeout=timeout)


def host_program(folder: Path, name: str, scratch: Path, *, flags: Sequence[str] = ("-O1", *SANITIZERS)) -> Path:
    """Compile an export with the program that runs leads through it; parameters and errors as for `events_on_host`."""
    sources = [*_sources(folder), _written("proof.c", name, scratch), HARNESS / "harness_host.c"]
    return compile_c(sources, scratch / "proof", include=[folder / "src", HARNESS], flags=flags)


def events_by(program: Path, leads: Leads, *, timeout: float = 3600.0) -> list[NDArray[np.int32]]:
    """Return the events of leads by a program of `host_program`."""
    return _split(run_program(program, _joined(leads), timeout=timeout))


def events_on(
    target: Target, folder: Path, name: str, leads: Leads, *, profile: Profile = "size", timeout: float = 3600.0
) -> list[NDArray[np.int32]]:
    """Return the events of leads by the C on an emulated target; parameters and errors as for `events_on_host`."""
    with tempfile.TemporaryDirectory() as scratch:
        program = _built(target, "proof.c", folder, name, Path(scratch), profile)
        return _split(target.run(program, _joined(leads), timeout=timeout).output)


def measured(
    target: Target, folder: Path, name: str, leads: Leads, *, rate: float, profile: Profile, timeout: float = 3600.0
) -> tuple[list[NDArray[np.int32]], Load]:
    """Return the events of leads by the C on an emulated microcontroller, and what it took there.

    Parameters
    ----------
    target : Target
        A microcontroller.
    folder, name, leads, timeout
        As for `events_on_host`; the first lead is one as usual, of which the average cost is told.
    rate : float
        Samples a second.
    profile : {"size", "speed"}
        For which it was made.

    Notes
    -----
    It is linked for a Blue Pill if it fits there, else for a larger one, so that what is over can be told.
    """
    with tempfile.TemporaryDirectory() as scratch:
        program = _built(target, "proof.c", folder, name, Path(scratch), profile)
        # Faults cost less than signal does: the average is that of the first lead, the worst sample that of all.
        first = target.run(program, _joined(leads[:1]), timeout=timeout)
        emulation = target.run(program, _joined(leads), timeout=timeout) if len(leads) > 1 else first
        steps, low, high, *_ = (int(number) for number in first.results)
        *_, worst, state, stack = (int(number) for number in emulation.results)
        instructions = (low % 2**32 + (high << 32)) / steps
        # A profile logs every block that runs: half a minute of a lead tells enough.
        part = [lead[: round(30 * rate)] for lead in leads[:1]]
        profiled = target.profile(program, _joined(part), timeout=timeout)
        cycles_each = sum(profiled.cycles.values()) / sum(profiled.instructions.values())
        bare = [
            target.footprint(_built(target, "bare.c", folder, name, Path(scratch), profile, more)).flash
            for more in (("-DWITH_MODEL",), ())
        ]
        symbols = target.symbols(_built(target, "bare.c", folder, name, Path(scratch), profile, ("-DWITH_MODEL",)))
    part_of = {symbol.name: _part(symbol, name) for symbol in symbols}
    parts: dict[str, int] = {}
    for symbol in symbols:
        if symbol.section in "trd" and part_of[symbol.name]:
            parts[part_of[symbol.name]] = parts.get(part_of[symbol.name], 0) + symbol.size
    stages: dict[str, float] = {}
    n_profiled = len(part[0])
    for function, cycles in profiled.cycles.items():
        stage = part_of.get(function, "libgcc")
        stages[stage] = stages.get(stage, 0.0) + cycles / n_profiled
    load = Load(
        flash=bare[0] - bare[1], state=state, stack=stack, rate=rate, instructions=instructions, worst=worst,
        cycles=instructions * cycles_each, parts=parts, stages=stages,
    )  # fmt: skip
    return _split(emulation.output), load


def floating_point(target: Target, folder: Path, name: str) -> list[str]:
    """Return the functions for floating point, heap or files that an export calls on a microcontroller: none."""
    with tempfile.TemporaryDirectory() as scratch:
        symbols = target.symbols(_built(target, "bare.c", folder, name, Path(scratch), "size", ("-DWITH_MODEL",)))
    return [
        symbol.name for symbol in symbols if re.match(r"__aeabi_[fd](?!iv)|__\w+[sd]f\d|malloc|printf", symbol.name)
    ]


def versions(target: Target | None = None) -> dict[str, str]:
    """Return the first line that compilers and emulators say of themselves, of those that are here."""
    tools = [os.environ.get("CC") or "gcc", *([f"{target.prefix}-gcc", target.emulator] if target else [])]
    said = {}
    for tool in tools:
        if shutil.which(tool):
            done = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
            said[tool] = (done.stdout.splitlines() or [""])[0]
    return said


def _part(symbol: Symbol, name: str) -> str:
    """Return the stage that a symbol belongs to; nothing if it is the harness's."""
    if match := re.match(rf"{name}_([a-z]+)", symbol.name) or re.match(r"mh_([a-z]+)", symbol.name):
        return match[1]
    if symbol.file.startswith("mh_"):
        return symbol.file[3:].removesuffix(".c")
    if symbol.file == f"{name}.c":
        return "model"
    if symbol.file or symbol.name.startswith(("harness_", "main")):
        return ""
    return "libgcc"


def _sources(folder: Path) -> list[Path]:
    """Return the C of an export."""
    return sorted((folder / "src").glob("*.c"))


def _written(template: str, name: str, folder: Path) -> Path:
    """Write a program around a model."""
    path = folder / template
    path.write_text(filled(template, {"name": name}), encoding="utf-8")
    return path


def _built(
    target: Target, template: str, folder: Path, name: str, scratch: Path, profile: Profile, flags: Sequence[str] = ()
) -> Path:
    """Compile a program around a model, for a small machine if it fits there."""
    sources = [*_sources(folder), _written(template, name, scratch)]
    out = scratch / f"{template}{''.join(flags)}.elf"
    options = (OPTIMISATION[profile], *flags)
    try:
        return target.compile(sources, out, include=[folder / "src"], flags=options)
    except RuntimeError as error:
        if "overflowed by" not in str(error) and "is left for the stack" not in str(error):
            raise
        return target.compile(sources, out, include=[folder / "src"], flags=(*options, *ROOMY))


def _joined(leads: Leads) -> NDArray[np.int32]:
    """Return what a program reads: each lead after its length."""
    return np.concatenate([np.concatenate([[len(lead)], lead]) for lead in leads]).astype(np.int32)


def _split(numbers: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """Return the events of each lead, shape (n, 5), of what a program wrote."""
    rows = numbers.reshape(-1, _COLUMNS)
    ends = np.flatnonzero((rows == -1).all(axis=1))
    return [part[k > 0 :] for k, part in enumerate(np.split(rows, ends))][: len(ends)]
