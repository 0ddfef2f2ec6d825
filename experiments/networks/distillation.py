"""What a U-Net's labels of recordings without marks teach a TCN and sparse codes: prints the table of the README.

python -m experiments.networks.distillation ../shared/data --out runs/distillation
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from experiments.networks._ground import Ground, arguments, kept, score, trained
from experiments.networks.labels import LEADS
from mhealth.cli._evaluate import figures_of
from mhealth.cli._terminal import Bar, Terminal
from mhealth.cli._training import Case, load_cases
from mhealth.labeling import EcgLabeler, as_annotation, load

SECONDS, EVERY = 20.0, 300.0
"""Of each recording, pieces of so many seconds: more beats of the same person teach little more."""


def taught(teacher: EcgLabeler, cases: list[Case], terminal: Terminal) -> Iterator[Case]:
    """Yield pieces of recordings with what the teacher is sure of in them as marks."""
    with Bar(terminal, unit="records") as bar:
        for k, case in enumerate(cases):
            bar.update("labelling by the teacher", k, len(cases))
            fs, signals = case.recording.fs, case.recording.signals
            for start in range(0, len(signals) - int(SECONDS * fs) + 1, int(EVERY * fs)):
                piece = replace(case.recording, signals=signals[start : start + int(SECONDS * fs)], gaps=())
                marks = as_annotation(teacher.label(piece))
                if len(marks.annotated):
                    yield replace(case, recording=piece, annotation=marks)


def run(student: str, ground: Ground, data: Path, fold: int, teacher: EcgLabeler | None) -> dict[str, float]:
    """Return the figures of a student on LUDB, and on the records of QTDB that are none of MIT-BIH's."""
    terminal = Terminal(quiet=False)
    cases = ground.training(fold)
    if teacher is not None:
        cases = cases + list(taught(teacher, load_cases("mitdb", data, None, terminal)[1], terminal))
    labeler = trained(student, cases, ground.noise)
    dataset, others = load_cases("qtdb", data, None, terminal)
    others = [case for case in others if case.stratum != "MIT-BIH Arrhythmia"]
    of_qtdb = figures_of(dataset, others, [labeler.label(case.recording) for case in others], None).summary
    figures = score(labeler.label, ground.tested(fold)) | {f"qtdb.{name}": value for name, value in of_qtdb.items()}
    return figures | {"pieces": len(cases) - len(ground.training(fold))}


def main() -> None:
    """Train the teacher and the students that are not yet trained, and print the table."""
    parser = arguments("What a U-Net's labels of MIT-BIH teach others.")
    parser.add_argument("--of", default="tcn,sparse", help="students, separated by commas")
    given = parser.parse_args()
    ground = Ground.read(given.data, Terminal(quiet=False), leads=LEADS)
    path = given.out / f"teacher-{given.fold}.npz"
    if not path.exists():
        given.out.mkdir(parents=True, exist_ok=True)
        trained("unet", ground.training(given.fold), ground.noise).save(path)
    teacher = load(path).set_params(leads="fused")
    for student in given.of.split(","):
        for name, by in (("alone", None), ("taught", teacher)):
            row = kept(
                given.out, f"{student}-{given.fold}-{name}",
                partial(run, student, ground, given.data, given.fold, by),
            )  # fmt: skip
            print(student, name, {key: round(value, 2) for key, value in row.items()}, flush=True)


if __name__ == "__main__":
    main()
