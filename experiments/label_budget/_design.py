"""Which labelers learn from how many labelled subjects."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["ARMS", "NAMES", "Arm", "Fit", "fits"]


class Arm(NamedTuple):
    """A way to learn from few labelled subjects, while the recordings of the others are at hand.

    Attributes
    ----------
    architecture : {"sparse", "unet", "tcn"}
    dictionary : bool
        Dictionaries are learned from all recordings, labelled or not.
    active : bool
        Subjects are added whose labels are the least certain, instead of at random.
    teacher : str
        Arm whose labels of the other recordings are learned from too; empty for none.
    """

    architecture: str
    dictionary: bool = False
    active: bool = False
    teacher: str = ""


ARMS = {
    "sparse": Arm("sparse"),
    "unet": Arm("unet"),
    "tcn": Arm("tcn"),
    "sparse-dictionary": Arm("sparse", dictionary=True),
    "sparse-active": Arm("sparse", active=True),
    "sparse-by-sparse": Arm("sparse", teacher="sparse"),
    "sparse-by-unet": Arm("sparse", teacher="unet"),
    "tcn-by-unet": Arm("tcn", teacher="unet"),
}

NAMES = {
    "sparse": "sparse codes",
    "unet": "U-Net",
    "tcn": "TCN",
    "sparse-dictionary": "dictionary of all recordings",
    "sparse-active": "least certain subjects first",
    "sparse-by-sparse": "taught by sparse codes",
    "sparse-by-unet": "taught by a U-Net",
    "tcn-by-unet": "TCN, taught by a U-Net",
}


class Fit(NamedTuple):
    """One training.

    Attributes
    ----------
    arm : str
    subjects : int or None
        Labelled subjects; None: all outside the fold.
    draw : int
        Which subjects; those of one draw are among its larger numbers too.
    fold : int
        That is tested.
    source : str
        Data set whose recordings the teacher labels; empty: LUDB's of the other subjects.
    """

    arm: str
    subjects: int | None
    draw: int
    fold: int
    source: str = ""

    @property
    def name(self) -> str:
        """Return the name of its step."""
        source = f"-{self.source}" if self.source else ""
        return f"{self.arm}-{self.subjects or 'all'}-{self.draw}{source}-fold{self.fold}"


def fits(settings: dict[str, Any]) -> list[Fit]:
    """Return all fits, each after those that it needs."""
    found = []
    for fold in settings["tested"]:
        for name, arm in ARMS.items():
            networks = "unet" in (arm.architecture, arm.teacher) or arm.architecture == "tcn"
            if networks and not settings["networks"]:
                continue
            numbers = settings["subjects"]
            if arm != Arm(arm.architecture):  # otherwise than by plain labels
                numbers = [n for n in numbers if n is not None]
            if arm.teacher:
                numbers = [n for n in numbers if n >= settings["start"]]
            if arm.active:
                numbers = [n for n in numbers if n > settings["start"]]
            for n in numbers:
                n_draws = 1 if n is None else settings["network_draws" if networks else "draws"]
                found += [Fit(name, n, draw, fold) for draw in range(n_draws)]
    return found + [
        Fit(name, None, 0, settings["tested"][0], source)
        for source in (settings["sources"] if settings["networks"] else [])
        for name, arm in ARMS.items()
        if arm.teacher == "unet"
    ]
