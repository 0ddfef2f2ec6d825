"""What an exported model promises to a program around it: constants, statuses, clipped samples, budgets, a sketch."""

import shutil
import subprocess
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from exports import MODELS, installed, written
from typer.testing import CliRunner

from mhealth.cli import app
from mhealth.export import Export, Load, Stage, export_model, load_source, prove
from mhealth.export import _export as module
from mhealth.export._export import golden_leads
from mhealth.export._host import SANITIZERS, compile_c, run_program
from mhealth.export._toolchain import HARNESS, TARGETS

DRIVER = Path(__file__).parent / "drivers" / "abi.c"
OK, NULL, VERSION, ENDED = range(4)
N_CALLS = 12


def flags_of(model, *, rate=None):
    """Return what tells the driver of a model, which it expects to have such a rate."""
    export = written(model)
    upper = export.name.upper()
    return [
        f"-DMODEL={export.name}", f'-DMODEL_HEADER="{export.name}.h"', f"-DMODEL_RATE={upper}_RATE",
        f"-DMODEL_STATE_SIZE={upper}_STATE_SIZE", f"-DEXPECTED_RATE={rate or export.table.rate:g}",
    ]  # fmt: skip


@lru_cache
def program(model):
    """Compile the driver around a model, once."""
    folder = written(model).folder
    sources = [DRIVER, HARNESS / "harness_host.c", *sorted((folder / "src").glob("*.c"))]
    return compile_c(
        sources, folder / "abi", include=[folder / "src", HARNESS], flags=(*flags_of(model), "-O1", *SANITIZERS)
    )


@pytest.mark.parametrize("model", MODELS)
def test_wrong_calls_are_answered_by_a_status(model):
    lead = golden_leads(written(model).kind)[0]
    said = run_program(program(model), lead)
    assert said[0] > 1000
    assert said[1:N_CALLS].tolist() == [NULL, NULL, NULL, VERSION, VERSION, VERSION, VERSION, OK, NULL, NULL, OK]
    assert said[-1] == ENDED
    np.testing.assert_array_equal(said[N_CALLS:-1].reshape(-1, 4), written(model).table.events(lead)[:, [0, 1, 2, 4]])


@pytest.mark.parametrize("model", MODELS)
def test_samples_beyond_16_bits_are_clipped_and_flagged(model):
    lead = golden_leads(written(model).kind)[0].copy()
    half = len(lead) // 2
    lead[half : half + 3] = [2**31 - 1, -(2**31) + 1, 2**15]
    rows = run_program(program(model), lead)[N_CALLS:-1].reshape(-1, 4)
    flagged = rows[(rows[:, 1] & 4) > 0]
    assert len(flagged) > 0
    assert (flagged[:, 2] < half + 3).all()
    assert (flagged[:, 3] > half).all()
    lead[half : half + 3] = [2**15 - 1, -(2**15), 2**15 - 1]
    fitting = run_program(program(model), lead)[N_CALLS:-1].reshape(-1, 4)
    assert not (fitting[:, 1] & 4).any()
    np.testing.assert_array_equal(fitting[:, [0, 2, 3]], rows[:, [0, 2, 3]])


def test_another_rate_does_not_compile(tmp_path):
    folders = [written("ecg-mcu").folder / "src", HARNESS]
    with pytest.raises(RuntimeError, match="rate_is_a_constant"):
        compile_c([DRIVER], tmp_path / "abi", include=folders, flags=flags_of("ecg-mcu", rate=500))


ARDUINO = """#pragma once
#include <stdint.h>
struct Port { void begin(long); template <class T> void print(T); template <class T> void println(T); };
extern Port Serial;
enum { A0 };
unsigned long micros();
int analogRead(int pin);
"""


@pytest.mark.parametrize(
    "compiler", ["g++", pytest.param("arm-none-eabi-g++", marks=pytest.mark.embedded)], ids=["here", "arm"]
)
def test_the_sketch_compiles_as_an_ide_compiles_it(compiler, tmp_path):
    if compiler != "g++":
        installed("cortex-m3")
    found = shutil.which(compiler) or pytest.skip(f"{compiler} is not installed")
    export = export_model(load_source("ecg-mcu", target="linux"), tmp_path / "lib", target="linux")
    (tmp_path / "Arduino.h").write_text(ARDUINO)
    sketch = export.folder / "examples" / "monitor" / "monitor.ino"
    done = subprocess.run(
        [found, "-std=c++11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++", f"-I{tmp_path}",
         f"-I{export.folder / 'src'}", "-include", "Arduino.h", str(sketch)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


HEAVY = Load(
    flash=50000, state=9000, stack=500, rate=250.0, instructions=4000.0, worst=90000, cycles=8000.0,
    parts={"codes": 30000, "decoder": 20000}, stages={"codes": 8000.0},
)  # fmt: skip


def test_an_export_says_which_part_is_over_its_budget(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_measured", lambda *_: HEAVY)
    result = CliRunner().invoke(app, ["export", "ecg", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "over budget: flash: 50000 bytes, 9040 over 40960 (most of it: codes 30000 bytes" in " ".join(
        result.output.split()
    )
    assert "RAM:" not in result.output


@pytest.fixture
def proven(monkeypatch, tmp_path):
    """Return a function that proves an export of `ecg-mcu` whose C is right, as far as its budget goes."""
    monkeypatch.setattr(module, "_measured", lambda *_: None)

    def right(table, leads):
        return [table.events(lead) for lead in leads]

    def prove_with(load, **accuracy):
        export = export_model(load_source("ecg-mcu", target="cortex-m3"), tmp_path / "out", target="cortex-m3")
        manifest = {**export.manifest, "accuracy": accuracy}
        for name, replacement in {
            "TARGETS": {"cortex-m3": TARGETS["cortex-m3"]},
            "events_on_host": lambda folder, name, leads: right(export.table, leads),
            "measured": lambda target, folder, name, leads, **_: (right(export.table, leads), load),
            "floating_point": lambda *_: [],
        }.items():
            monkeypatch.setattr(f"mhealth.export._proof.{name}", replacement)
        return prove(Export(**{**vars(export), "manifest": manifest}))

    return prove_with


def test_the_check_fails_where_a_budget_is_exceeded(proven):
    host, events, budget = proven(HEAVY)
    assert host.passed
    assert events.passed
    assert budget.passed is False
    assert budget.name == "budget of cortex-m3"
    assert "flash: 50000 bytes, 9040 over 40960" in budget.result


def test_the_check_fails_where_accuracy_is_lost(proven):
    fitting = replace(HEAVY, flash=30000)
    assert [stage.passed for stage in proven(fitting, lost=0.29)] == [True, True, True]
    *_, budget = proven(fitting, lost=0.5)
    assert budget.passed is False
    assert "accuracy: 0.50 points lost, 0.20 over 0.3" in budget.result


def test_the_command_fails_where_a_stage_does(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_measured", lambda *_: None)
    stages = [Stage("C on this machine", "equal", True), Stage("budget of cortex-m3", "flash: too much", False)]
    monkeypatch.setattr("mhealth.export.prove", lambda *_, **__: stages)
    result = CliRunner().invoke(app, ["export", "ecg", "--check", "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "not proven: budget of cortex-m3" in " ".join(result.output.split())
