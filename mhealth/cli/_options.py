"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "As",
    "Budget",
    "Channels",
    "Data",
    "Emission",
    "Format",
    "Leads",
    "Model",
    "Noise",
    "Polarity",
    "Rate",
    "Records",
    "Seed",
    "Units",
    "split_channels",
]

Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|PATH",
        help="A shipped model (see `mhealth models`), or an .npz that `train` wrote. (default: ecg for ECG leads, "
        "respiration for what breathes)",
        show_default=False,
    ),
]
As = Annotated[
    Literal["ecg", "respiration"] | None,
    typer.Option(
        "--as",
        help="Label as this kind only: the channels that look like it, all if none does, or those of --channels. "
        "(default: each channel by its name and unit)",
        show_default=False,
    ),
]
Emission = Annotated[
    Literal["sparse", "unet", "tcn"],
    typer.Option(
        "--emission",
        help="What describes the signal: sparse codes; for an ECG also a neural network, a U-Net for whole recordings "
        "or a small causal one for streams.",
    ),
]
Budget = Annotated[
    Literal["cortex-m3"] | None,
    typer.Option(
        help="Learn sparse codes that a microcontroller has room for: 64 kB of flash memory, 20 kB of RAM. "
        "(default: for computers)",
        show_default=False,
    ),
]
Polarity = Annotated[
    Literal["auto", "up", "down"] | None,
    typer.Option(
        "--polarity",
        help="Whether inspiration makes a breathing signal rise or fall. (default: found from the signal, and told)",
        show_default=False,
    ),
]
Channels = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME,...",
        help="Channels by name or position from 0. (default: all that look like an ECG or respiration)",
        show_default=False,
    ),
]
Leads = Annotated[
    Literal["fused", "independent"] | None,
    typer.Option(
        help="Whether simultaneous ECG leads decide together which waves exist, or each on its own. (default: fused)",
        show_default=False,
    ),
]
Rate = Annotated[
    float | None, typer.Option(metavar="HZ", help="Sampling rate, where the file does not tell it.", show_default=False)
]
Units = Annotated[
    str | None,
    typer.Option(metavar="UNIT", help="Unit of the samples, where the file does not tell it.", show_default=False),
]
Format = Annotated[
    Literal["csv", "parquet", "wfdb"] | None,
    typer.Option(help="Format of the results. (default: by the suffix of --out, else csv)", show_default=False),
]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of the data set in its publisher's layout, or a folder that holds it under the data set's name.",
        show_default=False,
    ),
]
Records = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Text file that names the records to use, one a line.", show_default=False),
]
Noise = Annotated[
    str | None,
    typer.Option(
        metavar="DATASET",
        help="Data set whose records without marks (nstdb: bw, em, ma) are noise to mix into augmented copies.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of everything random.")]


def split_channels(values: Sequence[str] | None) -> tuple[str, ...]:
    """Return channels given as ``--channels a,b --channels c`` one by one."""
    return tuple(name.strip() for value in values or () for name in value.split(",") if name.strip())
