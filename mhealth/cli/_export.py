"""`mhealth export`: a trained model as C for a microcontroller, with its proof."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mhealth.cli._options import Data, Records
from mhealth.cli._terminal import (
    Bar,
    Debug,
    Quiet,
    Terminal,
    announce_compilation,
    examples,
    print_table,
    reports_errors,
)
from mhealth.errors import InvalidParameterError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mhealth.cli._datasets import Dataset
    from mhealth.cli._training import Case
    from mhealth.core import Spans
    from mhealth.export import Accuracy, Export, PipelineTable, Source, Stage

__all__ = ["EPILOG", "export"]

EPILOG = examples(
    ("mhealth export ecg --out blue_pill/", "the shipped ecg-mcu for a Cortex-M3: C, example, Makefile, README"),
    ("mhealth export ecg --check --out blue_pill/", "and its proof, on emulators (make test-embedded installs them)"),
    ("mhealth export tcn-int8 --target cortex-m4 --profile speed --out m4/", "a network, in fast code"),
    ("mhealth export respiration --fs 10 --out belt/", "breathing; the converter's rate is checked"),
    ("mhealth export my.npz --calibrate night1.edf --out mine/", "a model of your own; what it will see"),
    ("mhealth export ecg --evaluate ludb --data /data/ludb --out blue_pill/", "accuracy before and after"),
)

_WHOLE = "whole numbers"


@reports_errors
def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A shipped model (see `mhealth models`), or an .npz of `train`.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write; a former export is replaced.")
    ],
    target: Annotated[
        Literal["cortex-m3", "cortex-m4", "linux"], typer.Option(help="Machine that it is for, and proven on first.")
    ] = "cortex-m3",
    profile: Annotated[
        Literal["size", "speed"],
        typer.Option(help="Small code (-Os, one kernel for all layers of a network), or fast (-O2, one for each)."),
    ] = "size",
    fs: Annotated[
        float | None,
        typer.Option(metavar="HZ", help="Rate of your converter, checked against the model's.", show_default=False),
    ] = None,
    calibrate: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RECORD",
            help="Recording from which the ranges of a float32 network are chosen (that needs the extra cnn), and on "
            "which whole numbers are compared with the model, stage by stage (may be repeated). "
            "(default: simulated signal, to compare)",
            show_default=False,
        ),
    ] = None,
    evaluate: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help="Annotated data set on which accuracy before and after is measured, each channel alone.",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
    records: Records = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="Model whose accuracy is shown beside (may be repeated); an int8 network is held against the first, "
            "which it was converted from. (default: ecg for ecg-mcu, tcn for tcn-int8)",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Build and run it everywhere, compare, and hold it to its budget.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Turn a trained model into C99 that labels one lead, sample by sample, in whole numbers.

    DIR gets the model and its runtime (src/), an example, a Makefile, golden vectors with a program that checks them, a
    README with the steps into your firmware, manifest.json, and for a network the .tflite that it was made from. It has
    the layout of Arduino and PlatformIO libraries. There is no heap, no libc, no floating point and no global variable
    in the C; NAME_init, NAME_step and NAME_flush work on a state that you own.

    Any model of `mhealth train` will do that labels single leads with sparse codes or a causal network, which is
    converted to int8 with recordings of the kind that it will see (--calibrate) if that was not done in training.
    For a Cortex-M3 or M4, ecg and respiration stand for ecg-mcu and respiration-mcu, which fit 64 KB of flash and 20 KB
    of RAM with room for more; train your own so with `mhealth train --budget cortex-m3`.

    With --check the same C runs on this machine under sanitizers, on an emulated Cortex-M3 and M4, and on aarch64, and
    must hand out the same events as its twin in Python, to the sample; what it takes is measured and compared with the
    budget. A stage whose compiler or emulator is missing is told; that of the target must run.
    """
    terminal = Terminal(quiet=quiet)
    from mhealth.cli._training import load_cases
    from mhealth.export import PipelineTable, check_exportable, export_model, load_source, quantized
    from mhealth.io import read_recording

    announce_compilation(terminal)
    source = load_source(model, target=target)
    recordings = [read_recording(path) for path in calibrate or ()]
    source = quantized(source, recordings)
    check_exportable(source.labeler, fs)
    if source.name != Path(model).stem:
        terminal.say(f"{target}: {model} is {source.name}, which was trained to fit")
    accuracy: Accuracy | None = None
    leads: list[NDArray[np.int32]] = []
    if evaluate is not None:
        table = PipelineTable.of(source.labeler, profile=profile)
        accuracy, leads = _accuracy(source, table, load_cases(evaluate, data, records, terminal), against, terminal)
    with Bar(terminal) as bar:
        bar.update("writing C", 0, None)
        made = export_model(
            source, out, target=target, profile=profile, fs=fs, calibration=recordings, accuracy=accuracy
        )
    _print(made, terminal)
    if check:
        stages = _prove(made, leads, terminal)
        print_table("proof", ["stage", "result"], [[_told(stage), stage.result] for stage in stages])
        failed = [stage.name for stage in stages if stage.passed is False]
        if failed:
            raise InvalidParameterError(f"{out}: not proven: {', '.join(failed)}; see above.")
    terminal.say(f"{source.name} in C for {target} -> {out}")


def _prove(made: Export, leads: list[NDArray[np.int32]], terminal: Terminal) -> list[Stage]:
    """Return the stages of the proof."""
    from mhealth.export import prove

    with Bar(terminal) as bar:
        return prove(made, leads, report=lambda stage: bar.update(stage, 0, None))


def _told(stage: Stage) -> str:
    """Return a stage with a sign of its outcome."""
    return f"{'–' if stage.passed is None else '✓' if stage.passed else '✗'} {stage.name}"


def _accuracy(
    source: Source,
    table: PipelineTable,
    loaded: tuple[Dataset, list[Case]],
    against: list[str] | None,
    terminal: Terminal,
) -> tuple[Accuracy, list[NDArray[np.int32]]]:
    """Return the accuracy of the model, of others and of whole numbers on a data set, and its leads in ADC units."""
    import numpy as np

    from mhealth.cli._evaluate import figures_of
    from mhealth.export import Accuracy, agreement, alone, label_in_whole_numbers, leads_of, originals
    from mhealth.labeling import load

    dataset, cases = loaded
    others = {Path(model).stem: load(model) for model in against} if against else originals(source)
    first = next(iter(others), source.name)
    labelers = {model: alone(labeler) for model, labeler in [*others.items(), (source.name, source.labeler)]}
    found: dict[str, list[Spans]] = {model: [] for model in (*labelers, _WHOLE)}
    leads: list[NDArray[np.int32]] = []
    with Bar(terminal, unit="records") as bar:
        for k, case in enumerate(cases):
            bar.update("labeling with each", k, len(cases))
            marked = case.annotation.spans.channels
            recording = case.recording.pick([c for c, name in enumerate(case.recording.channels) if name in marked])
            for model, labeler in labelers.items():
                found[model].append(labeler.label(recording))
            found[_WHOLE].append(label_in_whole_numbers(labelers[source.name], table, recording))
            leads += leads_of(source.labeler, recording)[0]
    summaries = {model: figures_of(dataset, cases, spans, None).summary for model, spans in found.items()}
    whole = {key: value for key, value in summaries[_WHOLE].items() if np.isfinite(value)}
    agreements = [agreement(*pair) for pair in zip(found[source.name], found[_WHOLE], strict=True)]
    figure = next((key for key in whole if key.endswith(("macro", ".f1"))), next(iter(whole)))
    accuracy = Accuracy(
        data=f"{cases[0].dataset}, {len(cases)} records, each channel alone",
        figure=figure,
        points={model: summaries[model][figure] for model in labelers},
        original=first if source.emission == "network" else source.name,
        whole=whole[figure],
        shared=float(np.average([part.f1 for part in agreements], weights=[part.n_waves for part in agreements])),
    )
    print_table(
        accuracy.data,
        ["figure", *summaries],
        [[key, *(summary[key] for summary in summaries.values())] for key in whole],
        note=f"{accuracy.shared:.2f} % of the waves of {source.name} are the same in whole numbers.",
    )
    return accuracy, leads


def _print(made: Export, terminal: Terminal) -> None:
    """Print what was measured, and what of it is over the budget."""
    manifest = made.manifest
    stages, found, budget = manifest["stages"], manifest["measured"], manifest["budget"]
    rows: list[list[object]] = [
        ["candidates that whole numbers share", f"{stages['shared']:.2f} %"],
        ["their log potentials, RMS difference", f"{stages['potentials']:.3f} nats"],
        ["where edges lie, RMS difference", f"{stages['shifts']:.2f} samples"],
    ]
    if manifest["layers"]:
        rows.append(
            ["worst layer of the network, RMS difference", f"{max(x['error'] for x in manifest['layers']):.1f} %"]
        )
    if found is not None:
        limits = budget or {"flash": "–", "ram": "–", "share": "–"}
        rows += [
            ["flash", f"{found['flash']} of {limits['flash']} bytes"],
            ["RAM with the stack", f"{found['ram']} of {limits['ram']} bytes"],
            ["time", f"{found['share']:.2f} of {limits['share']} % of 72 MHz"],
            ["instructions a sample; the worst", f"{found['instructions']:.0f}; {found['worst']}"],
        ]
        rows += [[f"computing, {row['chip']}", f"{row['microwatts']:.0f} µW"] for row in found["energy"]["chips"]]
    print_table(
        f"{manifest['model']}, {made.target}, {made.profile}", ["", ""], rows,
        note="" if found else "Not measured: the compiler or emulator of the target is missing (make test-embedded).",
    )  # fmt: skip
    for over in manifest["over"]:
        terminal.say(f"over budget: {over}")
