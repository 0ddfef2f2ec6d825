"""The proof that exported C says what the model says, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import MissingToolError
from mhealth.export._budget import budget_for, exceeded
from mhealth.export._check import events_on, events_on_host, floating_point, measured
from mhealth.export._export import Export, golden_leads
from mhealth.export._pipeline import PipelineTable
from mhealth.export._toolchain import TARGETS, Target
from mhealth.labeling._network import NetworkContext

__all__ = ["Stage", "differences", "prove"]

_BLOCKS = 3
"""Blocks of random inputs on which a network is compared with LiteRT."""


class Stage(NamedTuple):
    """One step of the proof.

    Attributes
    ----------
    name, result : str
    passed : bool or None
        None if it could not run here.
    """

    name: str
    result: str
    passed: bool | None


def prove(
    export: Export,
    leads: Sequence[NDArray[np.int32]] = (),
    *,
    report: Callable[[str], None] = lambda stage: None,
) -> list[Stage]:
    """Build and run an export on everything that is here.

    Parameters
    ----------
    export : Export
    leads : sequence of ndarray of int32
        Further leads at the model's rate, in ADC units; the host runs all, emulators the golden vectors alone.
    report : callable
        Called with the name of each stage before it runs.

    Returns
    -------
    stages : list of Stage
        A stage whose compiler or emulator is missing has not passed nor failed, but for those of the export's own
        target, which fail.
    """
    context = export.source.labeler._fitted().task.front_end.features.context
    parts = golden_leads(export.manifest["kind"])
    golden = [parts[0], np.concatenate(parts)]
    stages = []
    if isinstance(context, NetworkContext):
        report("twin and LiteRT's reference kernels")
        stages.append(_as_litert(context))
    report("this machine, under sanitizers")
    stages.append(_run("C on this machine, sanitizers", True, partial(_on_host, export, [*golden, *leads])))
    for target in TARGETS.values():
        report(f"emulated {target.name}")
        name = f"C on emulated {target.name if target.machine else 'aarch64'}"
        own = target.name == export.target
        if target.machine:
            stages += _on_microcontroller(export, target, name, golden, own=own)
        else:
            stages.append(_run(name, own, partial(_on_linux, export, target, golden)))
    return stages


def differences(
    table: PipelineTable, leads: Sequence[NDArray[np.int32]], found: Sequence[NDArray[np.int32]]
) -> tuple[str, bool]:
    """Compare what C said of leads with the twin; return it in words, and whether nothing differs."""
    n_events, n_samples = 0, 0
    for k, (lead, rows) in enumerate(zip(leads, found, strict=True)):
        wanted, given = table.events(lead), rows.astype(np.int64)
        given[:, 2:] %= 2**32
        n_same = min(len(wanted), len(given))
        different = np.flatnonzero((wanted[:n_same] != given[:n_same]).any(axis=1))
        if len(different) or len(wanted) != len(given):
            place = int(different[0]) if len(different) else n_same
            return f"lead {k} differs from event {place} on ({len(given)} events, the twin has {len(wanted)})", False
        n_events += len(wanted)
        n_samples += len(lead)
    return f"equal to the twin: {n_events} events in {n_samples / table.rate:.0f} s", True


def _run(name: str, is_needed: bool, work: Callable[[], tuple[str, bool]]) -> Stage:
    """Return the outcome of a stage."""
    try:
        return Stage(name, *work())
    except MissingToolError as error:
        return Stage(name, f"not run: {error}", False if is_needed else None)
    except RuntimeError as error:
        return Stage(name, f"failed: {error}", False)


def _as_litert(context: NetworkContext) -> Stage:
    """Compare the layers that C computes with LiteRT's reference kernels, on random inputs."""
    name = "network of the twin and of LiteRT"
    if find_spec("ai_edge_litert") is None:
        return Stage(name, "not run: LiteRT is not installed (pip install 'mhealth[litert]')", None)
    from mhealth.nn._interpreter import Interpreter

    network, layers = context.network, context.network.layers
    assert layers.inputs is not None
    assert layers.outputs is not None
    interpreter, rng = Interpreter(network.graph, kernels="reference"), np.random.default_rng(0)
    for _ in range(_BLOCKS):
        inputs = rng.uniform(-1.0, 1.0, (network.block, 3)).astype(np.float32)
        ours = layers.outputs.decode(layers.open().push(layers.inputs.encode(inputs)))
        if not np.array_equal(ours, interpreter.run(inputs)[: len(ours)]):
            return Stage(name, "logits differ from BUILTIN_REF", False)
    return Stage(name, f"equal to BUILTIN_REF: logits of {_BLOCKS * network.block} samples", True)


def _on_host(export: Export, leads: Sequence[NDArray[np.int32]]) -> tuple[str, bool]:
    return differences(export.table, leads, events_on_host(export.folder, export.name, leads))


def _on_linux(export: Export, target: Target, leads: Sequence[NDArray[np.int32]]) -> tuple[str, bool]:
    found = events_on(target, export.folder, export.name, leads, profile=export.profile)
    return differences(export.table, leads, found)


def _on_microcontroller(
    export: Export,
    target: Target,
    name: str,
    leads: Sequence[NDArray[np.int32]],
    *,
    own: bool,
) -> list[Stage]:
    """Compare events on an emulated microcontroller, and what it took with the budget where it is the export's."""
    told: list[str] = []
    share = ""

    def run() -> tuple[str, bool]:
        nonlocal share
        found, load = measured(
            target, export.folder, export.name, leads, rate=export.table.rate, profile=export.profile
        )
        budget = budget_for(target.name, export.manifest["emission"], export.profile)
        told.extend(exceeded(budget, load, export.manifest["accuracy"].get("lost")) if budget else [])
        told.extend(f"calls {function}" for function in floating_point(target, export.folder, export.name))
        share = (
            f"flash {load.flash} bytes, RAM {load.ram} bytes, {load.share:.2f} % of 72 MHz, worst sample "
            f"{load.worst} instructions"
        )
        return differences(export.table, leads, found)

    stages = [_run(name, own, run)]
    if own and share:
        stages.append(Stage(f"budget of {target.name}", "; ".join([share, *told]), not told))
    elif share:
        stages.append(Stage(f"cost on {target.name}", share, True))
    return stages
