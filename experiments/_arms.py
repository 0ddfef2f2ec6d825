"""What experiments compare on ECG: sparse codes and networks under the same CRF, and delineators by rules."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments._peers import PEERS, interpreter

if TYPE_CHECKING:
    from mhealth.core import Recording
    from mhealth.labeling import EcgLabeler

__all__ = ["COLOURS", "NAMES", "STEPS", "labeler", "missing"]

NAMES = {
    "independent": "independent",
    "chain": "chain",
    "span": "span",
    "sparse": "sparse codes",
    "tcn": "TCN",
    "unet": "U-Net",
    "unet-hard": "U-Net, noisier copies",
    "neurokit2-dwt": "NeuroKit2 dwt",
    "neurokit2-prominence": "NeuroKit2 prominence",
    "prominence-delineator": "prominence-delineator",
}
"""How arms are called in figures."""

COLOURS = dict(
    zip(
        NAMES,
        ("#999999", "#56b4e9", "#009e73", "#0072b2", "#cc79a7", "#d55e00", "#e69f00", "#000000", "#7f5f3f", "#5f5f5f"),
        strict=True,
    )
)
"""Of Okabe and Ito, told apart by everybody; rules beyond their eight have markers of their own where they meet."""

STEPS = {"unet": 1500, "tcn": 3000}
"""Steps of a network's training here: half as many as on all leads of LUDB, so that an experiment ends in an hour."""

_BATCH = 32


def missing(arm: str) -> str | None:
    """Return why an arm cannot run here, None if it can."""
    if arm.partition("-")[0] in STEPS and importlib.util.find_spec("tensorflow") is None:
        return "TensorFlow is not installed: the extra cnn"
    if arm in PEERS and interpreter(arm) is None:
        return "its packages are not installed (`make bench` sets up .venv/bench)"
    return None


def labeler(arm: str, n_leads: int, noise: Sequence[Recording], *, seed: int, **training: Any) -> EcgLabeler:
    """Return an untrained labeler of leads on their own.

    Parameters
    ----------
    arm : {"sparse", "unet", "unet-hard", "tcn"}
        "hard": the network learns from noisier copies.
    n_leads : int
        Annotated leads that it will learn from: a network takes the same number of steps however many there are.
    noise : sequence of Recording
        Mixed into copies.
    seed : int
    **training
        Of `TrainingSettings` where they are not the usual ones.
    """
    from mhealth.labeling import EcgLabeler, TrainingSettings

    architecture, _, wearing = arm.partition("-")
    emission = None
    if architecture in STEPS:
        from mhealth.labeling import NetworkEmission
        from mhealth.labeling._network_emission import SCHEDULE
        from mhealth.nn import NetworkTraining

        n_passes = -(-STEPS[architecture] // max(1, round(0.8 * n_leads / _BATCH)))  # a fifth of them ends the training
        schedule = {"n_passes": n_passes, "patience": -(-n_passes // 3), "batch_size": _BATCH, "seed": seed}
        emission = NetworkEmission(
            architecture=architecture,
            training=NetworkTraining(**(SCHEDULE[architecture] | schedule)),
            wearing="hard" if wearing else "usual",
        )
    settings = TrainingSettings(**training) if training else None
    return EcgLabeler(leads="independent", emission=emission, training=settings, noise=noise, random_state=seed)
