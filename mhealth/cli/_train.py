"""`mhealth train`: annotated recordings in, a model file out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from mhealth.cli._options import Budget, Data, Noise, Records, Seed
from mhealth.cli._terminal import Debug, Quiet, Terminal, announce_compilation, examples, reports_errors
from mhealth.cli._training import fit, kind_of_marks, load_cases, load_noise, untrained
from mhealth.errors import UnwritableOutputError

__all__ = ["EPILOG", "train"]

EPILOG = examples(
    ("mhealth train ludb --data /data/ludb --out my.npz", "one data set, in its publisher's layout"),
    ("mhealth train ludb qtdb --data /data --out my.npz", "two, in /data/ludb and /data/qtdb"),
    ("mhealth train ludb qtdb --noise nstdb --data /data --out ecg.npz", "as the shipped model ecg was trained"),
    ("mhealth train bidmc --data /data/bidmc --out respiration.npz", "breaths; as the shipped one was trained"),
    (
        "mhealth train ludb --emission unet --noise nstdb --data /data --out unet.npz",
        "a network below the CRF (extra cnn)",
    ),
    (
        "mhealth train ludb qtdb --budget cortex-m3 --noise nstdb --data /data --out ecg-mcu.npz",
        "for a microcontroller; as the shipped model ecg-mcu was trained",
    ),
    ("mhealth train my_records/ --out my.npz", "a folder with your own marks, see above"),
    ("mhealth label 100 --model my.npz", "use what was trained"),
)


@reports_errors
def train(
    datasets: Annotated[
        list[str],
        typer.Argument(metavar="DATASET...", help="Registered data sets (ludb, qtdb, bidmc, ...), or folders."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="MODEL.npz", help="Model file to write.")],
    data: Data = None,
    records: Records = None,
    noise: Noise = None,
    model: Annotated[
        Literal["sparse", "unet", "tcn"],
        typer.Option(
            "--model",
            "--emission",
            help="What describes the signal: sparse codes; for an ECG also a neural network, a U-Net for whole "
            "recordings or a small causal one for streams (they need the extra cnn).",
        ),
    ] = "sparse",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the state of a network's training here after each pass; the same command goes on from it.",
            show_default=False,
        ),
    ] = None,
    log_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="TensorBoard's log of a network's training.", show_default=False),
    ] = None,
    network: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.keras",
            help="Learn only the CRF, above this trained network (see --keep).",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FILE.keras", help="Write the trained network here too, for Keras.", show_default=False),
    ] = None,
    precision: Annotated[
        Literal["float32", "int8"] | None,
        typer.Option(
            help="Of a network at work; int8 as microcontrollers have it. (default: float32)", show_default=False
        ),
    ] = None,
    wearing: Annotated[
        Literal["usual", "hard"] | None,
        typer.Option(
            help="How noisy the altered copies are that a network learns from: hard for sensors on people who move; "
            "it costs a little on clean signals. (default: usual)",
            show_default=False,
        ),
    ] = None,
    budget: Budget = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a labeler on recordings in which an expert marked the waves of an ECG, or breaths.

    The marks decide: P, QRS and T give a labeler of ECG; inspirations, of which the end is enough, one of respiration.

    A folder of your own holds recordings and, for each record x, its marks: x.labels.csv with the columns that
    `mhealth label` writes (so a corrected output will do), or WFDB bracket annotations, x.ANNOTATOR for all
    channels or x.CHANNEL for each. A table stretches.csv with the columns record,channel,start_s,stop_s (an empty
    channel means all) and optionally subject says where every wave is marked: elsewhere nothing is assumed. Without
    it that is from each channel's first to last mark.

    The same data, seed and machine give the same model.
    """
    terminal = Terminal(quiet=quiet)
    if not out.parent.is_dir():
        raise UnwritableOutputError(f"{out} cannot be written: there is no folder {out.parent}. Make it first.")
    announce_compilation(terminal)
    begin = time.monotonic()
    cases, sources = [], []
    for name in datasets:
        dataset, of_dataset = load_cases(name, data, records, terminal)
        cases += of_dataset
        sources += [
            {"dataset": name, "record": case.name, "subject": case.subject, "sha256": dataset.hash(case.name)}
            for case in of_dataset
        ]
    labeler = untrained(
        kind_of_marks(cases), noise=load_noise(noise, data), seed=seed, budget=budget,
        emission=model, checkpoint=checkpoint, log_dir=log_dir, network=network, keep=keep, precision=precision,
        wearing=wearing,
    )  # fmt: skip
    fit(labeler, cases, terminal)
    labeler.save(out, training=sources)
    subjects = len({case.subject for case in cases})
    minutes = (time.monotonic() - begin) / 60
    terminal.say(f"trained on {len(cases)} records of {subjects} subjects in {minutes:.1f} min -> {out}")
