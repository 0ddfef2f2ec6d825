"""How many subjects' labels each emission needs: prints the table of the README and draws its figure.

python -m experiments.networks.labels ../shared/data --out runs/labels
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from experiments.networks._ground import ARCHITECTURES, Ground, arguments, kept, score, trained
from mhealth.cli._terminal import Terminal
from mhealth.core import replacing

LEADS = ("ii", "v2", "v5", "v6")
"""One lead of the limbs and three of the chest: a third of the time of all twelve."""

N_SUBJECTS = (5, 10, 20, 40, None)
COLOURS = {"sparse": "#0072b2", "unet": "#d55e00", "tcn": "#009e73"}  # of Okabe and Ito, told apart by everybody


def run(name: str, ground: Ground, fold: int, n_subjects: int | None) -> dict[str, float]:
    """Return the figures on a fold of a labeler that learned from so many other subjects."""
    cases = ground.training(fold, n_subjects)
    return score(trained(name, cases, ground.noise).label, ground.tested(fold)) | {
        "n_subjects": len({case.subject for case in cases})
    }


def main() -> None:
    """Train what is not yet trained, print the table, draw the figure."""
    parser = arguments("Accuracy against the number of labelled subjects.")
    parser.add_argument("--of", default=",".join(ARCHITECTURES), help="sparse, unet, tcn, separated by commas")
    given = parser.parse_args()
    ground = Ground.read(given.data, Terminal(quiet=False), leads=LEADS)
    found = {
        name: [
            kept(given.out, f"{name}-{given.fold}-{n or 'all'}", partial(run, name, ground, given.fold, n))
            for n in N_SUBJECTS
        ]
        for name in given.of.split(",")
    }
    print("| subjects | " + " | ".join(f"{row['n_subjects']:.0f}" for row in next(iter(found.values()))) + " |")
    for name, rows in found.items():
        for tolerance in ("150ms", "tight"):
            print(
                f"| {name}, {tolerance} | " + " | ".join(f"{row[f'ludb.{tolerance}.macro']:.2f}" for row in rows) + " |"
            )
    draw(found, given.out / "labels.png")


def draw(found: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draw macro F1 at both tolerances against the number of subjects."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    for axes, tolerance in zip(figure.subplots(1, 2), ("150ms", "tight"), strict=True):
        for name, rows in found.items():
            at = [row["n_subjects"] for row in rows]
            axes.plot(at, [row[f"ludb.{tolerance}.macro"] for row in rows], "o-", color=COLOURS[name], label=name)
        axes.set(xscale="log", xlabel="labelled subjects", ylabel="macro F1 (%)", title=tolerance)
        axes.set_xticks(at, [f"{n:.0f}" for n in at])
        axes.minorticks_off()
    axes.legend(frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


if __name__ == "__main__":
    main()
