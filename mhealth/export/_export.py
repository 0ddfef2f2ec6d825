"""A trained labeler written as C: what can be exported, the folder with everything in it, and its proof."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import InvalidParameterError, InvalidSignalError
from mhealth.export._accuracy import Accuracy, converted, leads_of, stage_errors
from mhealth.export._budget import PEERS, Load, Profile, budget_for, energies, exceeded
from mhealth.export._check import OPTIMISATION, measured, versions
from mhealth.export._folder import BEYOND, MANIFEST, filled, golden_header, new_folder, runtime_files
from mhealth.export._pipeline import MISSING, PipelineTable
from mhealth.export._quantize import in_whole_numbers, layer_errors, network_of
from mhealth.export._toolchain import HARNESS, TARGETS, Target, target_named

if TYPE_CHECKING:
    from mhealth.core import Recording
    from mhealth.labeling import BreathLabeler, EcgLabeler

__all__ = [
    "Export",
    "Source",
    "check_exportable",
    "export_model",
    "golden_leads",
    "load_source",
    "originals",
    "quantized",
]

SMALL = {"ecg": "ecg-mcu", "respiration": "respiration-mcu"}
"""What a shipped model resolves to where there are budgets."""

ORIGINALS = {"ecg-mcu": "ecg", "respiration-mcu": "respiration", "tcn-int8": "tcn"}
"""Beside which the accuracy of a shipped model is shown: what it is a smaller edition of, or was converted from."""

_START = ("cortex_m.ld", "harness.h", "harness_cortex_m.c")
"""What runs a program on an emulated microcontroller."""

_BOARD = 128 * 1024
"""Bytes of flash that the golden vectors may fill together with a model."""

_GOLDEN = {"ecg": 20.0, "respiration": 240.0}
"""Seconds of the golden vectors: beats, breaths, and each fault that a lead can have."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """A model and where it comes from.

    Attributes
    ----------
    labeler : EcgLabeler or BreathLabeler
    name : str
        Of the model.
    sha256 : str
        Of its file.
    about : dict
        What its manifest says besides.
    original : EcgLabeler, optional
        The same with a network in float32, where that was converted for the export.
    """

    labeler: EcgLabeler | BreathLabeler
    name: str
    sha256: str
    about: dict[str, Any]
    original: EcgLabeler | None = None

    @property
    def emission(self) -> Literal["sparse", "network"]:
        """What describes candidates: the key of the budgets."""
        return "sparse" if network_of(self.labeler) is None else "network"


def load_source(model: str, *, target: str) -> Source:
    """Return a shipped model or one from a file.

    Parameters
    ----------
    model : str
        Name or path.
    target : str
        Where there are budgets, the models of computers stand for those of microcontrollers.

    Raises
    ------
    ModelFileError
        If there is no such model.
    """
    from mhealth.labeling import load, pretrained_models

    shipped = {manifest.name: manifest for manifest in pretrained_models()}
    small = SMALL.get(model, "")
    name = small if target_named(target).machine and small in shipped else model
    labeler = load(name)
    if name in shipped:
        path = Path(str(resources.files("mhealth") / "models" / f"{name}.npz"))
        about = shipped[name].about
    else:
        path, about = Path(name), {}
    return Source(
        labeler=labeler, name=path.stem, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), about=dict(about)
    )


def originals(source: Source) -> dict[str, EcgLabeler | BreathLabeler]:
    """Return the models by name beside which the accuracy of a model is shown: for shipped ones, and converted ones.

    Parameters
    ----------
    source : Source
    """
    from mhealth.labeling import load

    if source.original is not None:
        return {f"{source.name}, float32": source.original}
    return {name: load(name) for name in (ORIGINALS.get(source.name),) if name and source.about}


def quantized(source: Source, recordings: Sequence[Recording]) -> Source:
    """Return a model with a network in int8 where it is a causal one in float32, another model as it is.

    Parameters
    ----------
    source : Source
    recordings : sequence of Recording
        What the network will see, from which ranges are chosen. Without any, nothing is converted.

    Raises
    ------
    InvalidSignalError
        If they have too little that moves.
    MissingExtraError
        If TensorFlow, which converts, is not installed.
    """
    network = network_of(source.labeler)
    if not recordings or network is None or not network.is_causal or network.layers.inputs is not None:
        return source
    labeler = in_whole_numbers(source.labeler, _moving(source.labeler, recordings))
    return replace(source, labeler=labeler, original=source.labeler)


def check_exportable(labeler: EcgLabeler | BreathLabeler, fs: float | None = None) -> None:
    """Check that a labeler can be exported.

    Parameters
    ----------
    labeler : EcgLabeler or BreathLabeler
    fs : float, optional
        Rate in Hz that the user's converter has.

    Raises
    ------
    InvalidParameterError
        If it cannot, or not at this rate.
    """
    model = labeler._fitted()
    rate = model.task.front_end.rate
    if fs is not None and fs != rate:
        raise InvalidParameterError(
            f"fs={fs:g} Hz, but the model works at {rate:g} Hz, and the C does not resample. Set the converter to "
            f"{rate:g} samples a second, or let every n-th sample of a filtered lead through."
        )
    if model.leads:
        raise InvalidParameterError(
            f"The model needs the leads {', '.join(model.leads)} side by side (early fusion); the C labels one lead. "
            "Train one that knows any lead: mhealth train without leads='early'."
        )
    network = network_of(labeler)
    if network is None:
        return
    if not network.is_causal:
        raise InvalidParameterError(
            f"The network {network.name!r} reads whole recordings, which no stream can. Export tcn-int8, or train one: "
            "mhealth train --emission tcn."
        )
    if network.layers.inputs is None:
        raise InvalidParameterError(
            f"The network {network.name!r} computes in float32; microcontrollers get int8. Give recordings of the kind "
            "that it will see, from which ranges are chosen: --calibrate RECORD. Or export tcn-int8."
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Export:
    """A labeler that was exported.

    Attributes
    ----------
    folder : Path
    name : str
        Of its files and functions.
    target : str
    profile : {"size", "speed"}
    table : PipelineTable
        The twin.
    source : Source
    manifest : dict
    """

    folder: Path
    name: str
    target: str
    profile: Profile
    table: PipelineTable
    source: Source
    manifest: dict[str, Any]


def export_model(
    source: Source,
    out: Path,
    *,
    target: str = "cortex-m3",
    profile: Profile = "size",
    fs: float | None = None,
    calibration: Sequence[Recording] = (),
    accuracy: Accuracy | None = None,
) -> Export:
    """Write a labeler as a folder of C.

    Parameters
    ----------
    source : Source
    out : Path
        Folder to write; a former export there is replaced as a whole.
    target : {"cortex-m3", "cortex-m4", "linux"}
    profile : {"size", "speed"}
        Small or fast code.
    fs : float, optional
        Rate of the user's converter in Hz, checked against that of the model.
    calibration : sequence of Recording
        On which the stages are compared with the model's; simulated signal by default.
    accuracy : Accuracy, optional
        For the manifest; what a shipped model says of itself by default.

    Returns
    -------
    export : Export

    Raises
    ------
    InvalidParameterError
        If it cannot be exported so.
    InvalidSignalError
        If no recording of `calibration` has a lead that moves.
    UnwritableOutputError
        If the folder cannot be written.
    """
    check_exportable(source.labeler, fs)
    budget = budget_for(target_named(target).name, source.emission, profile)
    table = PipelineTable.of(source.labeler, profile=profile)
    leads = (
        _moving(source.labeler, calibration) if calibration else golden_leads(source.labeler._fitted().task.kind)[:1]
    )
    name = _identifier(source.name)
    task = source.labeler._fitted().task
    golden = np.concatenate(golden_leads(task.kind))
    banner = f"Made by mhealth {version('mhealth')} from the model {source.name}, SHA-256 {source.sha256}."
    about = {"title": f"Labels {', '.join(table.labels[:-1])} in one lead of {_LEAD[task.kind]}.", "banner": banner}
    manifest: dict[str, Any] = {
        "tool": f"mhealth {version('mhealth')}",
        "model": source.name,
        "sha256": source.sha256,
        "name": name,
        "kind": task.kind,
        "emission": source.emission,
        "target": target,
        "profile": profile,
        "rate": table.rate,
        "labels": list(table.labels),
        "compilers": versions(TARGETS[target]),
        "accuracy": accuracy.as_dict() if accuracy else source.about.get("export", {}),
        "stages": stage_errors(source.labeler, table, leads)._asdict(),
        "layers": _layers(source, leads),
        "budget": None if budget is None else vars(budget),
    }
    with new_folder(out) as folder:
        sources = table.to_c(name, about)
        _write(folder / "src", sources)
        for path in runtime_files(*sources.values()):
            _write(folder / "src", {path.name: path.read_text(encoding="utf-8")})
        if network := network_of(source.labeler):
            (folder / f"{name}.tflite").write_bytes(network.graph)
        events = table.events(golden).tolist()
        values = {
            **about, "name": name, "NAME": name.upper(), "version": version("mhealth").split(".dev")[0],
            "rate": f"{table.rate:g}", "seconds": f"{len(golden) / table.rate:g}",
            "optimisation": OPTIMISATION[profile],
        }  # fmt: skip
        _write(
            folder / "golden",
            {"golden.h": golden_header(golden, events, banner), "check.c": filled("check.c", values)},
        )
        start = [HARNESS / file for file in _START] if TARGETS[target].machine else []
        if start:
            _write(folder / "emulator", {path.name: path.read_text(encoding="utf-8") for path in start})
        values |= _emulation(TARGETS[target], start)
        _write(folder / "examples", {"main.c": filled("main.c", values)})
        _write(folder / "examples" / "monitor", {"monitor.ino": filled("monitor.ino", values)})
        _write(folder, {file: filled(file, values) for file in ("Makefile", "library.properties", "library.json")})
        load = _measured(folder, name, task.kind, table.rate, target, profile)
        manifest["measured"] = None if load is None else _cost(load)
        manifest["over"] = exceeded(budget, load, manifest["accuracy"].get("lost")) if budget and load else []
        _write(
            folder,
            {
                "README.md": filled("README.md", {**values, **_readme(manifest)}),
                MANIFEST: json.dumps(manifest, indent=1) + "\n",
            },
        )
    return Export(folder=out, name=name, target=target, profile=profile, table=table, source=source, manifest=manifest)


_LEAD = {"ecg": "an ECG", "respiration": "respiration"}


def _identifier(name: str) -> str:
    """Return a name that C takes."""
    found = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower() or "model"
    return f"m{found}" if found[0].isdigit() else found


def golden_leads(kind: str) -> list[NDArray[np.int32]]:
    """Return signal with each fault that a lead can have, in parts that are meant to follow each other.

    Parameters
    ----------
    kind : {"ecg", "respiration"}
    """
    from mhealth.simulate import synthetic_ecg, synthetic_respiration

    seconds = _GOLDEN[kind]
    if kind == "ecg":
        fs = 250.0
        recording, _ = synthetic_ecg(fs=fs, duration=seconds, seed=5)
    else:
        fs = 10.0
        recording, _ = synthetic_respiration(fs=fs, duration=seconds, seed=5)
    lead = converted(recording.signals[:, 0])
    part = round(seconds * fs / 20)
    faulty = lead.copy()
    faulty[6 * part : 6 * part + 2] = MISSING
    faulty[9 * part : 12 * part] = faulty[9 * part]  # a flat line
    faulty[14 * part : 14 * part + 5] = BEYOND
    return [lead, np.full(part, MISSING, np.int32), faulty]


def _moving(labeler: EcgLabeler | BreathLabeler, recordings: Sequence[Recording]) -> list[NDArray[np.int32]]:
    """Return the leads of recordings that move.

    Raises
    ------
    InvalidSignalError
        If none does.
    """
    leads = [lead for recording in recordings for lead in leads_of(labeler, recording)[0] if len(lead)]
    if not leads:
        raise InvalidSignalError(
            f"calibration: none of {len(recordings)} recordings has a channel that moves. Give recordings of the kind "
            "that the model labels."
        )
    return leads


def _layers(source: Source, leads: Sequence[NDArray[np.int32]]) -> list[dict[str, Any]]:
    """Return what each layer of a network loses in int8, where that is known in float32 too; nothing elsewhere."""
    network = network_of(source.labeler)
    others = [network_of(labeler) for labeler in originals(source).values()] if network else []
    if not network or not others or others[0] is None:
        return []
    return [row._asdict() for row in layer_errors(others[0], network, leads)]


def _emulation(target: Target, start: Sequence[Path]) -> dict[str, str]:
    """Return how a Makefile builds a program for a target, with what starts it there, and runs it."""
    script = f"-T emulator/cortex_m.ld -Wl,--defsym=harness_flash={_BOARD} -lgcc"
    return {
        "target": target.name if target.machine else "aarch64",
        "emulator": " ".join(target.emulation),
        "prefix": target.prefix,
        "flags": " ".join(target.flags),
        "start": " ".join(f"emulator/{path.name}" for path in start if path.suffix == ".c"),
        "link": script if start else "",
    }


def _measured(folder: Path, name: str, kind: str, rate: float, target: str, profile: Profile) -> Load | None:
    """Return what the export takes of its target, if the emulator is here."""
    machine = TARGETS[target]
    if not machine.machine or machine.missing:
        return None
    return measured(machine, folder, name, golden_leads(kind)[:1], rate=rate, profile=profile)[1]


def _cost(load: Load) -> dict[str, Any]:
    """Return what an export takes, for its manifest."""
    return {
        **vars(load),
        "ram": load.ram,
        "share": load.share,
        "worst_share": load.worst_share,
        "energy": {
            "of": "computing alone, an estimate: cycles of the core's manual times the current of a datasheet",
            "chips": [
                {
                    "chip": row.chip.name,
                    "microamperes": row.current,
                    "microwatts": row.power,
                    "millijoules_per_hour": row.per_hour,
                    "source": row.chip.source,
                }
                for row in energies(load)
            ],
            "peers, microjoules": [peer._asdict() for peer in PEERS],
        },
    }


def _readme(manifest: dict[str, Any]) -> dict[str, str]:
    """Return the table of what was measured, for the README."""
    found, budget = manifest["measured"], manifest["budget"]
    if found is None:
        return {"measured": "Not measured: the compiler and emulator of the target were not at hand."}
    limits = budget or {"flash": "–", "ram": "–", "share": "–"}
    rows = [
        ("flash", f"{found['flash']} bytes", f"{limits['flash']}"),
        ("RAM: state", f"{found['state']} bytes", ""),
        ("RAM: with the stack", f"{found['ram']} bytes", f"{limits['ram']}"),
        ("instructions a sample", f"{found['instructions']:.0f}", ""),
        ("worst sample", f"{found['worst']} instructions", ""),
        ("share of 72 MHz", f"{found['share']:.2f} %", f"{limits['share']} %"),
        *((f"computing, {row['chip']}", f"{row['microwatts']:.0f} µW", "") for row in found["energy"]["chips"]),
    ]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return {
        "measured": f"Emulated {manifest['target']}, {manifest['profile']}:\n\n| | measured | budget |\n|---|---|---|\n"
        f"{lines}\n\nCycles are instructions times the core's manual; power is that times a datasheet's current: an "
        "estimate of computing alone, without sleep, radio or converter."
    }


def _write(folder: Path, files: dict[str, str]) -> None:
    """Write text files into a folder, made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
