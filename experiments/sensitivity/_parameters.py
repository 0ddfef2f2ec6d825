"""What can be tuned, and how far each is moved: one at a time, others at their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["LAGS", "NETWORKS", "PARAMETERS", "SEEDS", "Move", "Parameter", "folds_of", "moves"]

SEEDS = (1, 2)
"""Of further fits of the default, beside the seed of the run: what moves by chance alone."""

LAGS: tuple[float | None, ...] = (0.75, 1.0, 2.5, None)
"""Other lags than the default of 1.5 s, which need no fit of their own; None decodes whole recordings."""


class Parameter(NamedTuple):
    """A number of the model, or several that belong together.

    Attributes
    ----------
    name : str
        Of steps and tables.
    part : str
        Of the model.
    default : str
        As tables show it.
    moves : dict of str to dict
        Values as tables show them, and what each sets: paths as of `experiments.sensitivity._fits.moved`.
    """

    name: str
    part: str
    default: str
    moves: dict[str, dict[str, Any]]


class Move(NamedTuple):
    """One value of one parameter; without a parameter, the default."""

    name: str
    parameter: str
    value: str
    sets: Mapping[str, Any]
    architecture: str = "sparse"
    seed: int = 0


def _numbers(part: str, root: str, table: Mapping[str, tuple[float, ...]]) -> list[Parameter]:
    """Return parameters from rows ``name: (default, other values)``; names are paths below `root`."""
    return [
        Parameter(
            name=path.replace("_", "-").replace(".", "-"),
            part=part,
            default=f"{default:g}",
            moves={f"{value:g}": {f"{root}.{path}": value} for value in values},
        )
        for path, (default, *values) in table.items()
    ]


_SEGMENTER, _FEATURES = "task.front_end.segmenter", "task.front_end.features"

_LEARNING = {
    "n_atoms": (64, 32, 128),
    "n_nonzero": (5, 3, 8),
    "n_first": (256, 128, 512),
    "n_second": (64, 32, 128),
    "fewest_steps": (750, 375, 1500),
    "n_augmented": (3, 1, 7),
    "batch_size": (24, 12, 48),
    "learning_rate": (2e-3, 1e-3, 4e-3),
    "weight_decay": (1e-2, 0.0, 1e-1),
    "dropout": (0.1, 0.0, 0.2),
    "shift_weight": (0.1, 0.03, 0.3),
}
"""Of `TrainingSettings`. `n_epochs` rules only where it makes more than `fewest_steps`; here it does not."""

_CANDIDATES = {
    "box": (0.02, 0.012, 0.036),
    "reach": (0.04, 0.02, 0.08),
    "arm": (0.08, 0.06, 0.12),
    "prominence": (0.01, 0.005, 0.02),
    "prominence_floor": (1.5, 0.75, 3.0),
    "deviation": (0.005, 0.0025, 0.01),
    "deviation_floor": (0.6, 0.3, 1.2),
    "deviation_range": (0.14, 0.07, 0.28),
    "shortest": (0.012, 0.008, 0.024),
    "busy_gap": (0.06, 0.04, 0.12),
    "longest_gap": (0.24, 0.12, 0.36),
    "busy_range": (0.03, 0.015, 0.06),
    "zero_crossings": (8, 4, 16),
    "running_scale.window": (1.92, 0.96, 2.88),
    "running_scale.ahead": (0.16, 0.12, 0.24),
    "running_scale.time_constant": (2.0, 1.0, 4.0),
    "running_scale.block": (0.04, 0.02, 0.08),
    "running_scale.quantile": (0.35, 0.2, 0.5),
}
"""Of `EcgSegmenter`; `reference` is by definition, `rate` is what kernels count in."""

_DESCRIPTION = {
    "knee": (0.25, 0.125, 0.5),
    "lookahead": (0.4, 0.5, 0.6),
    "warm_up": (1.936, 1.0, 3.0),
    "context.average_half": (25, 15, 50),
    "context.average_width": (2, 1, 4),
    "context.horizon": (10.0, 5.0, 20.0),
    "context.n_beats": (8, 4, 16),
}
"""Of `FeatureSettings` and `BeatContext`."""

_STRUCTURE = {
    "grammar.n_bins": (20, 10, 40),
    "farthest_edge": (0.06, 0.03, 0.09),
    "shift_unit": (0.02, 0.01, 0.04),
}
"""Of `Task` and `Grammar`."""

_WINDOWS = {
    "window-edge": (0, "±0.1 s", {"±0.05 s": {"before": 0.05, "after": 0.05}, "±0.2 s": {"before": 0.2, "after": 0.2}}),
    "points-edge": (0, "25", {"13": {"n_points": 13}, "50": {"n_points": 50}}),
    "window-wave": (1, "±0.4 s", {"±0.2 s": {"before": 0.2, "after": 0.2}, "-0.6 to 0.4 s": {"before": 0.6}}),
    "points-wave": (1, "40", {"20": {"n_points": 20}, "80": {"n_points": 80}}),
    "window-beats": (2, "-1.6 to 0.4 s", {"-0.8 to 0.4 s": {"before": 0.8}, "-2.4 to 0.4 s": {"before": 2.4}}),
    "points-beats": (2, "40", {"20": {"n_points": 20}, "80": {"n_points": 80}}),
}
"""Of the windows, by their place; none may look further ahead than a candidate waits."""

_LONGEST = (0.6, 0.32, 0.38, 0.3, 0.4, 0.5)
"""Of `ECG_GRAMMAR`; shorter ones forbid what experts marked."""

PARAMETERS = (
    *_numbers("learning", "training", _LEARNING),
    Parameter("noise", "learning", "NSTDB", {"none": {"noise": []}}),
    *(
        Parameter(
            name, "description", default,
            {text: {f"{_FEATURES}.windows.{place}.{key}": value for key, value in of.items()}
             for text, of in values.items()},
        )
        for name, (place, default, values) in _WINDOWS.items()
    ),
    *_numbers("description", _FEATURES, _DESCRIPTION),
    *_numbers("structure", "task", _STRUCTURE),
    Parameter(
        "longest", "structure", "1",
        {f"{factor:g}": {"task.grammar.longest": [round(factor * s, 3) for s in _LONGEST]} for factor in (1.25, 1.5)},
    ),
    Parameter(
        "longest-tp", "structure", "0.6",
        {f"{s:g}": {"task.grammar.longest": [s, *_LONGEST[1:]]} for s in (0.4, 0.9)},
    ),
    Parameter("eager", "structure", "QRS", {"none": {"task.eager": []}, "all": {"task.eager": ["P", "QRS", "T"]}}),
    *_numbers("candidates", _SEGMENTER, _CANDIDATES),
    Parameter(
        "noise-judged", "quality", "0.03 to 0.01",
        {"0.015 to 0.005": {"task.front_end.quality.enter": 0.015, "task.front_end.quality.leave": 0.005},
         "0.06 to 0.02": {"task.front_end.quality.enter": 0.06, "task.front_end.quality.leave": 0.02}},
    ),
)  # fmt: skip
"""Of the default model, `EcgLabeler` with sparse codes."""

_TRAINING = (
    Parameter(
        "loss", "network", "cross-entropy",
        {"focal": {"emission.training.loss.focus": 2.0}, "weighted": {"emission.training.loss.weights": "rarity"}},
    ),
    Parameter(
        "input-knees", "network", "0.1, 0.04",
        {text: {"emission.input.knee": knee, "emission.input.slope_knee": slope}
         for text, knee, slope in (("0.033, 0.013", 0.033, 0.013), ("0.3, 0.12", 0.3, 0.12))},
    ),
)  # fmt: skip

NETWORKS = {
    "tcn": (
        *_numbers(
            "network", "emission.training", {"learning_rate": (6e-3, 2e-3, 1.8e-2), "weight_decay": (5e-2, 0.0, 0.2)}
        ),
        *_numbers("network", "emission", {"n_augmented": (12, 4)}),
        *_TRAINING,
    ),
    "unet": (
        *_numbers("network", "emission.training", {"learning_rate": (4e-3, 1.3e-3, 1.2e-2)}),
        *_TRAINING,
    ),
}
"""Of the training of networks, which take half the usual steps here."""


def folds_of(move: Move, settings: Mapping[str, Any]) -> list[int]:
    """Return the folds that a move is tested on: of a U-Net, which learns three times as long as others, the first."""
    return settings["tested"][:1] if move.architecture == "unet" else settings["tested"]


def moves(settings: Mapping[str, Any]) -> list[Move]:
    """Return the default with several seeds, and every value of the parameters that the settings name."""
    found = [Move("default", "", "", {})]
    found += [Move(f"default-seed{seed}", "", "", {}, seed=seed) for seed in SEEDS[: settings["seeds"] - 1]]
    found += [
        Move(f"{parameter.name}-{k}", parameter.name, value, sets)
        for parameter in PARAMETERS
        if settings["parameters"] is None or parameter.name in settings["parameters"]
        for k, (value, sets) in enumerate(parameter.moves.items())
    ]
    for architecture in settings["networks"]:
        found.append(Move(f"{architecture}-default", "", "", {}, architecture))
        found += [Move(f"{architecture}-default-seed{seed}", "", "", {}, architecture, seed) for seed in SEEDS[:1]]
        found += [
            Move(f"{architecture}-{parameter.name}-{k}", parameter.name, value, sets, architecture)
            for parameter in NETWORKS[architecture]
            for k, (value, sets) in enumerate(parameter.moves.items())
        ]
    return found
