"""Other machines than this one: C compiled for them, run on emulators, and what it took there."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import InvalidParameterError, MissingToolError
from mhealth.export._host import RUNTIME, STRICT, run_program

__all__ = ["HARNESS", "ROOMY", "TARGETS", "Emulation", "Footprint", "Profile", "Symbol", "Target", "target_named"]

HARNESS = Path(__file__).parent / "harness"
"""The C around a program that proves an export: start-up, files, a count of instructions, a painted stack."""

ROOMY = ("-Wl,--defsym=harness_flash=0x100000", "-Wl,--defsym=harness_ram=0x20000")
"""Flags for a microcontroller with 1 MB of flash and 128 KB of RAM, to measure what is too large for a small one."""

_TOOLS = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "arm-none-eabi-size": "binutils-arm-none-eabi",
    "arm-none-eabi-nm": "binutils-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "aarch64-linux-gnu-size": "binutils-aarch64-linux-gnu",
    "aarch64-linux-gnu-nm": "binutils-aarch64-linux-gnu",
    "qemu-aarch64": "qemu-user",
}
"""Programs, and the packages of Debian and Ubuntu that have them."""

_FREESTANDING = (
    "-mthumb", "-ffreestanding", "-ffunction-sections", "-fdata-sections", "-nostdlib", "-Wl,--gc-sections",
)  # fmt: skip


class Footprint(NamedTuple):
    """Bytes of a program: code, constants and initial values in flash; variables in RAM, without the stack."""

    flash: int
    ram: int


class Symbol(NamedTuple):
    """A function or variable: its name, the C file of one that is local, its section (``nm``'s letter), its bytes."""

    name: str
    file: str
    section: str
    size: int


class Emulation(NamedTuple):
    """What a program wrote, both int32 of shape (n,): its output, and what it reported of itself."""

    output: NDArray[np.int32]
    results: NDArray[np.int32]


class Profile(NamedTuple):
    """What a run took, by function: instructions, and cycles by the cost model of the core."""

    instructions: dict[str, int]
    cycles: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A machine that exports are made for.

    Parameters
    ----------
    name : str
        As in ``mhealth export --target NAME``.
    prefix : str
        Of its compiler's tools.
    emulator : str
    machine : str
        What the emulator emulates; empty for a program of a Linux system.
    flags : tuple of str
        For the compiler.
    """

    name: str
    prefix: str
    emulator: str
    machine: str = ""
    flags: tuple[str, ...]

    @property
    def emulation(self) -> tuple[str, ...]:
        """What the emulator is called with, before the program: files and exit code are those of this machine."""
        if not self.machine:
            return (self.emulator,)
        semihosting = ("-semihosting-config", "enable=on,target=native")
        quiet = ("-nographic", "-monitor", "none", "-serial", "none")
        return (self.emulator, "-M", self.machine, *quiet, *semihosting, "-kernel")

    @property
    def missing(self) -> list[str]:
        """Programs that are not installed here."""
        return [tool for tool in (f"{self.prefix}-gcc", self.emulator) if shutil.which(tool) is None]

    def compile(
        self, sources: Sequence[Path], out: Path, *, include: Sequence[Path] = (), flags: Sequence[str] = ("-Os",)
    ) -> Path:
        """Compile C99 with the harness for this machine, every warning an error.

        Parameters
        ----------
        sources : sequence of Path
            With a ``main`` that uses ``harness.h``.
        out : Path
            Program to write.
        include : sequence of Path
            Folders of headers, beside the runtime and the harness.
        flags : sequence of str
            Further ones, among them the optimisation.

        Raises
        ------
        MissingToolError
            If there is no compiler for it.
        RuntimeError
            If the compiler objects, or the program does not fit 64 KB of flash and 20 KB of RAM.
        """
        harness = "harness_cortex_m.c" if self.machine else "harness_host.c"
        last = ("-T", str(HARNESS / "cortex_m.ld"), "-lgcc") if self.machine else ()
        folders = (f"-I{folder}" for folder in (RUNTIME, HARNESS, *include))
        command = [
            _tool(f"{self.prefix}-gcc"), *STRICT, *self.flags, *flags, *folders, *map(str, sources),
            str(HARNESS / harness), *last, "-o", str(out),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, sources))} is not compiled for {self.name}:\n{done.stderr}")
        return out

    def footprint(self, program: Path) -> Footprint:
        """Return the bytes that a program takes."""
        said = subprocess.run(
            [_tool(f"{self.prefix}-size"), str(program)], capture_output=True, text=True, check=True
        ).stdout
        text, data, bss = map(int, said.splitlines()[1].split()[:3])
        return Footprint(flash=text + data, ram=data + bss)

    def symbols(self, program: Path) -> list[Symbol]:
        """Return the functions and variables of a program that have a size."""
        command = [_tool(f"{self.prefix}-nm"), "-a", "-p", "-S", str(program)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found, file = [], ""
        for line in said.splitlines():
            *_, kind, name = line.split()
            if kind == "a":
                file = name
            elif len(fields := line.split()) == 4:
                # Local symbols follow the name of their file; global ones come last, and have its name in theirs.
                found.append(Symbol(name, "" if kind.isupper() else file, kind.lower(), int(fields[1], 16)))
        return found

    def run(self, program: Path, numbers: NDArray[np.int32], *, timeout: float = 300.0) -> Emulation:
        """Run a program on the emulator; every instruction takes it a nanosecond.

        Parameters
        ----------
        program : Path
            From `compile`.
        numbers : ndarray of int32, shape (n,)
            Its input.
        timeout : float
            Seconds after which it is given up.

        Raises
        ------
        MissingToolError
            If the emulator is not installed.
        RuntimeError
            If the program ends with an error: 3 is a fault of the processor, 4 a stack that met the variables.
        """
        emulator = _tool(self.emulator)
        if not self.machine:
            output = run_program([emulator, str(program)], numbers, timeout=timeout)
            return Emulation(output, np.empty(0, np.int32))
        with tempfile.TemporaryDirectory() as folder:
            self._emulate(program, numbers, Path(folder), ["-icount", "shift=0"], timeout)
            return Emulation(*(_numbers(Path(folder) / name) for name in ("output", "results")))

    def profile(self, program: Path, numbers: NDArray[np.int32], *, timeout: float = 300.0) -> Profile:
        """Run a program of a microcontroller and say where it spent its time.

        Every block of instructions that the emulator runs is logged, and priced by what the core's manual says of its
        instructions. The harness and ``main`` are left out.
        """
        assert self.machine
        trace = _Trace(_PRICES[self.name])
        with tempfile.TemporaryDirectory() as folder:
            self._emulate(program, numbers, Path(folder), ["-d", "in_asm,exec,nochain"], timeout, trace.take)
        return trace.profile()

    def _emulate(
        self,
        program: Path,
        numbers: NDArray[np.int32],
        folder: Path,
        options: list[str],
        timeout: float,
        log: Callable[[bytes], None] = lambda text: None,
    ) -> None:
        """Run a program in a folder that gets its input; hand on what the emulator logs, whole lines at a time."""
        (folder / "input").write_bytes(np.ascontiguousarray(numbers, "<i4").tobytes())
        command = [_tool(self.emulator), *options, *self.emulation[1:], str(program.resolve())]
        with subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            watchdog = threading.Timer(timeout, process.kill)
            watchdog.start()
            assert process.stderr is not None
            rest = b""
            while chunk := process.stderr.read(_CHUNK):
                text, end = rest + chunk, (rest + chunk).rfind(b"\nTrace ") + 1
                log(text[:end])
                rest = text[end:]
            log(rest)
            code = process.wait()
            watchdog.cancel()
        if code:
            reason = f"was stopped after {timeout:g} s" if code == -signal.SIGKILL else f"ended with {code}"
            raise RuntimeError(f"{program} {reason} on {self.name}:\n{rest[-2000:].decode(errors='replace')}")


def _tool(name: str) -> str:
    """Return the path of a program, or say which package has it."""
    path = shutil.which(name)
    if path is None:
        package = _TOOLS[name]
        raise MissingToolError(f"{name} is not installed. Install it (Debian, Ubuntu: apt install {package}).")
    return path


def _numbers(file: Path) -> NDArray[np.int32]:
    """Return the numbers of a file, none if the program never wrote it."""
    return np.fromfile(file, "<i4").astype(np.int32) if file.exists() else np.empty(0, np.int32)


@dataclass(frozen=True, kw_only=True)
class _Prices:
    """Cycles of a core's instructions.

    Parameters
    ----------
    multiply_add, long_multiply, long_multiply_add, divide : int
        The middle of what the manual gives.
    refill : int
        What a taken branch adds: the pipeline, and the flash that it waits for.
    literal : int
        What a constant among the code adds.
    """

    multiply_add: int
    long_multiply: int
    long_multiply_add: int
    divide: int = 7
    refill: int
    literal: int

    def of(self, mnemonic: str, operands: str, *, follows_access: bool) -> int:
        """Return the cycles of an instruction, of a branch that is not taken."""
        if re.match(r"(ldm|pop|stm|push|vpush|vpop)", mnemonic):
            return 1 + operands.count(",", operands.find("{")) + 1
        if re.match(r"(ldrd|strd)", mnemonic):
            return 3
        if re.match(r"(ldr|str)", mnemonic):
            return (1 if follows_access else 2) + (self.literal if "[pc" in operands else 0)
        for pattern, cycles in (
            (r"(mla|mls)", self.multiply_add),
            (r"[su]mull", self.long_multiply),
            (r"[su]mlal", self.long_multiply_add),
            (r"[su]div", self.divide),
            (r"tb[bh]", 2),
        ):
            if re.match(pattern, mnemonic):
                return cycles
        return 1


_PRICES = {
    # Cortex-M3 Technical Reference Manual r2p0 (ARM DDI 0337H), 18.2: MLA 2, SMULL 3-5, SMLAL 4-7, divisions 2-12, a
    # taken branch 1 + 1 to 3. STM32F103 (PM0075): two wait states at 72 MHz, which the prefetch hides but for branches
    # and constants.
    "cortex-m3": _Prices(multiply_add=2, long_multiply=4, long_multiply_add=6, refill=2 + 2, literal=2),
    # Cortex-M4 Technical Reference Manual r0p1 (ARM DDI 0439D), 3.3.1: all multiplications take one cycle. Its flash is
    # usually behind a cache.
    "cortex-m4": _Prices(multiply_add=1, long_multiply=1, long_multiply_add=1, refill=2, literal=0),
}

_BLOCK = re.compile(rb"IN: (\S*) *\n((?:0x.*\n)+)")
_INSTRUCTION = re.compile(r"0x([0-9a-f]{8}): +([0-9a-f]{4}(?: [0-9a-f]{4})?) +(\S+) *(.*)")
_RUN = re.compile(rb"Trace 0: 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]{8})/")
_CHUNK = 1 << 24
_OURS = re.compile(r"(harness_.*|main|semihosting|leave|file|put|)$")
"""Functions around an export."""


class _Trace:
    """Counts the blocks of instructions that QEMU logs, while it runs."""

    def __init__(self, prices: _Prices) -> None:
        self._prices = prices
        self._blocks: dict[int, tuple[str, int, int, int]] = {}  # function, instructions, cycles, address behind
        self._counts: dict[tuple[int, int], int] = {}  # of a block and the one after it
        self._last = -1

    def take(self, text: bytes) -> None:
        """Note new blocks, and count those that ran."""
        for function, listing in _BLOCK.findall(text):
            self._note(function.decode(), listing.decode())
        ran = np.frombuffer(bytes.fromhex(b"".join(_RUN.findall(text)).decode()), ">u4").astype(np.int64)
        if len(ran):
            before = np.concatenate([[self._last], ran[:-1]])
            pairs, counts = np.unique(before << 32 | ran, return_counts=True)
            for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
                key = (pair >> 32, pair & 0xFFFFFFFF)
                self._counts[key] = self._counts.get(key, 0) + count
            self._last = int(ran[-1])

    def _note(self, function: str, listing: str) -> None:
        """Price a block."""
        cycles = count = 0
        start, behind, accessed = -1, 0, False
        for address, code, mnemonic, operands in _INSTRUCTION.findall(listing):
            cycles += self._prices.of(mnemonic, operands, follows_access=accessed)
            accessed = mnemonic.startswith(("ldr", "str"))
            count += 1
            behind = int(address, 16) + (4 if " " in code else 2)
            start = int(address, 16) if start < 0 else start
        self._blocks[start] = function, count, cycles, behind

    def profile(self) -> Profile:
        """Add up, function by function."""
        instructions: dict[str, int] = {}
        cycles: dict[str, int] = {}
        for (block, following), count in self._counts.items():
            if block not in self._blocks:
                continue
            function, length, price, behind = self._blocks[block]
            if _OURS.match(function):
                continue
            price += 0 if following == behind else self._prices.refill
            instructions[function] = instructions.get(function, 0) + count * length
            cycles[function] = cycles.get(function, 0) + count * price
        return Profile(instructions, cycles)


def _cortex(cpu: str, machine: str) -> Target:
    """Return a microcontroller; no instruction of a floating-point unit is allowed."""
    flags = (f"-mcpu={cpu}", "-mfloat-abi=soft", *_FREESTANDING)
    return Target(name=cpu, prefix="arm-none-eabi", emulator="qemu-system-arm", machine=machine, flags=flags)


TARGETS = {
    target.name: target
    for target in (
        _cortex("cortex-m3", "netduino2"),
        _cortex("cortex-m4", "netduinoplus2"),
        Target(name="linux", prefix="aarch64-linux-gnu", emulator="qemu-aarch64", flags=("-static",)),
    )
}
"""By name. A program for Linux is tried on the architecture of small boards, and on this machine."""


def target_named(name: str) -> Target:
    """Return a target.

    Raises
    ------
    InvalidParameterError
        If there is none of this name.
    """
    if name not in TARGETS:
        raise InvalidParameterError(f"target={name!r} must be one of {', '.join(TARGETS)}.")
    return TARGETS[name]
