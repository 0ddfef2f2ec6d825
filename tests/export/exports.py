"""Exports of the shipped models, written once a session, and signal for them."""

from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest

from mhealth.export import load_source
from mhealth.export._check import host_program
from mhealth.export._export import golden_leads
from mhealth.export._folder import runtime_files
from mhealth.export._pipeline import MISSING, PipelineTable
from mhealth.export._toolchain import TARGETS

MODELS = ("ecg-mcu", "respiration-mcu", "tcn-int8")
EXTREMES = (-(2**31) + 1, -(2**15), -(2**15) - 1, -1, 0, 1, 2**15 - 1, 2**15, 2**31 - 1)


class Written:
    """The C of a model in a folder, its twin, and its labeler."""

    def __init__(self, model, profile="size"):
        source = load_source(model, target="linux")
        self.labeler = source.labeler
        self.kind = source.labeler.model_.task.kind
        self.name = model.replace("-", "_")
        self.table = PipelineTable.of(source.labeler, profile=profile)
        self.folder = Path(mkdtemp(prefix="mhealth-export-"))
        (self.folder / "src").mkdir()
        sources = self.table.to_c(self.name, {"title": model, "banner": "made by a test"})
        for name, text in sources.items():
            (self.folder / "src" / name).write_text(text)
        for path in runtime_files(*sources.values()):
            (self.folder / "src" / path.name).write_text(path.read_text())


@lru_cache
def written(model, profile="size"):
    return Written(model, profile)


@lru_cache
def sanitized(model):
    """Return the program that runs leads through the C of a model under sanitizers."""
    return host_program(written(model).folder, written(model).name, written(model).folder)


def unlike(table, leads, found):
    """Return the leads of which the C says something else than the twin."""
    different = []
    for k, (lead, rows) in enumerate(zip(leads, found, strict=True)):
        given = rows.astype(np.int64)
        given[:, 2:] %= 2**32
        if not np.array_equal(table.events(lead), given):
            different.append(k)
    return different


def faulty_leads(kind):
    """Return a lead with the faults that a lead can have, and shorter and longer pieces of it."""
    clean, gap, faulty = golden_leads(kind)
    return [
        np.concatenate([clean, gap, faulty]),
        np.concatenate([clean[:300], gap[:3], clean[:100], gap, clean[:1]]),
        clean[:0], clean[:1], clean[:700], np.zeros(2000, np.int32), gap,
    ]  # fmt: skip


def wild_lead(rng, n_samples):
    """Return pieces of what no lead looks like: noise, steps, extremes, constants, and samples that are missing."""
    parts, left = [], n_samples
    while left > 0:
        n = min(left, int(rng.integers(1, 900)))
        size = int(2 ** rng.uniform(0, 17))
        parts.append(
            {
                0: lambda n=n, size=size: rng.integers(-size, size + 1, n),
                1: lambda n=n, size=size: np.cumsum(rng.integers(-size, size + 1, n)),
                2: lambda n=n: rng.choice(EXTREMES, n),
                3: lambda n=n, size=size: np.full(n, rng.integers(-size, size + 1)),
                4: lambda n=n: np.full(n, MISSING),
                5: lambda n=n, size=size: np.where(rng.random(n) < 0.02, MISSING, rng.integers(-size, size + 1, n)),
                6: lambda n=n, size=size: size * (np.arange(n) // int(rng.integers(1, 60)) % 2),
                7: lambda n=n, size=size: np.rint(size * np.sin(np.arange(n) * rng.uniform(0.01, 3.0))),
            }[int(rng.integers(8))]()
        )
        left -= n
    return np.clip(np.concatenate(parts), -(2**31), 2**31 - 1).astype(np.int32)


def installed(name):
    """Return a target, or leave the test out where its tools are missing."""
    target = TARGETS[name]
    if target.missing:
        pytest.skip(f"not run on {name}: {', '.join(target.missing)} is missing (make test-embedded installs it)")
    return target
