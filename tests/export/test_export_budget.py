"""Budgets say what is over and by how much; energy is cycles times a datasheet's current."""

import pytest

from mhealth.errors import InvalidParameterError
from mhealth.export._budget import CHIPS, Load, budget_for, energies, exceeded

LOAD = Load(
    flash=30000, state=7000, stack=500, rate=250.0, instructions=4000.0, worst=90000, cycles=8000.0,
    parts={"codes": 20000, "decoder": 6000, "quality": 3000, "scale": 1000},
    stages={"codes": 6000.0, "decoder": 2000.0},
)  # fmt: skip


def test_what_fits_exceeds_nothing():
    budget = budget_for("cortex-m3", "sparse", "size")
    assert LOAD.share == pytest.approx(100 * 8000 * 250 / 72e6)
    assert exceeded(budget, LOAD, 0.3) == []


def test_what_is_over_is_told_part_by_part():
    budget = budget_for("cortex-m4", "network", "speed")
    heavy = Load(**{**vars(LOAD), "flash": 60000, "state": 12000, "cycles": 25000.0})
    flash, ram, time, accuracy = exceeded(budget, heavy, 0.45)
    assert flash == (
        "flash: 60000 bytes, 2656 over 57344 (most of it: codes 20000 bytes, decoder 6000 bytes, quality 3000 bytes)"
    )
    assert ram == "RAM: 12500 bytes, 212 over 12288 (most of it: state 12000 bytes, stack 500 bytes)"
    assert time.startswith("time: 8.68 % of 72 MHz, 1.68 over 7 % (most of it: codes 6000 cycles a sample")
    assert accuracy == "accuracy: 0.45 points lost, 0.15 over 0.3"


def test_linux_has_no_budget_and_other_profiles_are_refused():
    assert budget_for("linux", "sparse", "size") is None
    with pytest.raises(InvalidParameterError, match="'tiny' must be 'size' or 'speed'"):
        budget_for("cortex-m3", "sparse", "tiny")


def test_energy_is_cycles_times_current_times_voltage():
    rows = {row.chip.name: row for row in energies(LOAD)}
    assert set(rows) == {chip.name for chip in CHIPS}
    # 2 million cycles a second at 375 µA/MHz and 3.3 V.
    assert rows["STM32F103"].current == pytest.approx(750.0)
    assert rows["STM32F103"].power == pytest.approx(2475.0)
    assert rows["STM32F103"].per_hour == pytest.approx(8910.0)
    assert all(chip.source for chip in CHIPS)


def test_the_worst_sample_is_a_share_of_the_time_between_two():
    assert LOAD.worst_share == pytest.approx(100 * 180000 / (72e6 / 250))
