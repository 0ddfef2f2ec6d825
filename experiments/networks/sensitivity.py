"""What the settings of a network's training matter: prints the table of the README.

python -m experiments.networks.sensitivity ../shared/data --out runs/sensitivity --of tcn
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from experiments.networks._ground import Ground, arguments, kept, score, trained
from experiments.networks.labels import LEADS
from mhealth.cli._terminal import Terminal
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._examples import lead_cases
from mhealth.labeling._network import stretches
from mhealth.labeling._network_emission import SCHEDULE
from mhealth.nn import Loss, NetworkInput

KNEES = {"knee": NetworkInput().knee, "slope_knee": NetworkInput().slope_knee}


def changes(name: str, weights: tuple[float, ...]) -> dict[str, dict[str, Any]]:
    """Return what is changed in each run."""
    rate = SCHEDULE[name]["learning_rate"]
    return {
        "default": {},
        "learning rate / 3": {"learning_rate": rate / 3},
        "learning rate · 3": {"learning_rate": rate * 3},
        "class weights": {"loss": Loss(weights=weights)},
        "focal loss, γ = 2": {"loss": Loss(focus=2.0)},
        "input scaling / 3": {"input": NetworkInput(**{k: v / 3 for k, v in KNEES.items()})},
        "input scaling · 3": {"input": NetworkInput(**{k: v * 3 for k, v in KNEES.items()})},
        "4 altered copies instead of 12": {"n_augmented": 4},
        "no weight decay": {"weight_decay": 0.0},
    }


def rarity(ground: Ground, fold: int) -> tuple[float, ...]:
    """Return the square root of one over the share of each class, divided by their mean: rarer classes count more."""
    counts = np.zeros(1 + len(ECG.labels))
    for case in ground.training(fold):
        for lead in lead_cases(case.recording, case.annotation):
            for stretch in stretches(lead, ECG):
                counts += np.bincount(stretch.classes[stretch.known], minlength=len(counts))
    weights = np.sqrt(counts.sum() / counts)
    return tuple((weights / weights.mean()).round(3).tolist())


def main() -> None:
    """Train what is not yet trained, and print the table."""
    parser = arguments("What the settings of a network's training matter.")
    parser.add_argument("--of", default="tcn", choices=sorted(SCHEDULE))
    given = parser.parse_args()
    ground = Ground.read(given.data, Terminal(quiet=False), leads=LEADS)

    def run(of: dict[str, Any]) -> dict[str, float]:
        return score(
            trained(given.of, ground.training(given.fold), ground.noise, **of).label, ground.tested(given.fold)
        )

    weights = rarity(ground, given.fold)
    print(f"class weights: {weights}\n| {given.of} | macro, 150 ms | tight | P | false P |")
    for k, (what, of) in enumerate(changes(given.of, weights).items()):
        row = kept(given.out, f"{given.of}-{given.fold}-{k}", partial(run, of))
        figures = (row["ludb.150ms.macro"], row["ludb.tight.macro"], row["ludb.150ms.P"], row["false_p_per_beat"])
        print(f"| {what} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |", flush=True)


if __name__ == "__main__":
    main()
