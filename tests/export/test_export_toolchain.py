"""Programs for other machines run on emulators, which count instructions and stack as these machines would."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mhealth.errors import InvalidParameterError, MissingToolError
from mhealth.export._toolchain import ROOMY, TARGETS, target_named

PROGRAM = Path(__file__).parent / "drivers" / "emulated.c"


@pytest.fixture
def numbers(rng):
    return rng.integers(-(2**31), 2**31 - 1, 1000).astype(np.int32)


def test_numbers_go_through_a_program_on_every_target(target, numbers, tmp_path):
    program = target.compile([PROGRAM], tmp_path / "program")
    emulation = target.run(program, np.concatenate([[np.int32(9)], numbers]))
    np.testing.assert_array_equal(emulation.output, numbers + 1)


def test_instructions_and_stack_are_counted_exactly(microcontroller, tmp_path):
    program = microcontroller.compile([PROGRAM], tmp_path / "program")
    runs = [microcontroller.run(program, np.array([turns], np.int32)).results for turns in (100, 100, 1100)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert runs[2][1] - runs[0][1] == 4 * 1000
    assert 400 <= runs[0][0] <= 480  # the frame of 400 bytes, and what is saved below and above it


def test_a_profile_prices_instructions(microcontroller, tmp_path):
    program = microcontroller.compile([PROGRAM], tmp_path / "program")
    profile = microcontroller.profile(program, np.array([1000], np.int32))
    assert profile.instructions["counted"] == pytest.approx(4 * 1000, abs=5)
    # Three cycles and a branch that is taken: a cycle, the pipeline, and on an M3 at 72 MHz the flash.
    a_turn = {"cortex-m3": 3 + 5, "cortex-m4": 3 + 3}[microcontroller.name]
    assert profile.cycles["counted"] == pytest.approx(a_turn * 1000, abs=10)
    assert "main" not in profile.cycles


def test_a_footprint_is_code_and_variables(microcontroller, tmp_path):
    footprint = microcontroller.footprint(microcontroller.compile([PROGRAM], tmp_path / "program"))
    assert 500 < footprint.flash < 3000
    assert 256 <= footprint.ram < 400  # the numbers, and the harness's handles


def test_a_program_that_does_not_fit_a_blue_pill_is_not_linked(microcontroller, tmp_path):
    large = tmp_path / "large.c"
    large.write_text("static volatile char large[30000];\nint main(void) { large[1] = 1; return large[0]; }\n")
    with pytest.raises(RuntimeError, match="ram"):
        microcontroller.compile([large], tmp_path / "program")
    assert microcontroller.footprint(microcontroller.compile([large], tmp_path / "program", flags=ROOMY)).ram >= 30000


def test_a_fault_and_a_stack_that_is_too_small_are_errors(microcontroller, tmp_path):
    program = microcontroller.compile([PROGRAM], tmp_path / "program")
    for doing, code in ((-1, 3), (-2, 4)):
        with pytest.raises(RuntimeError, match=f"ended with {code}"):
            microcontroller.run(program, np.array([doing], np.int32))


def test_a_program_that_does_not_end_is_stopped(microcontroller, tmp_path):
    endless = tmp_path / "endless.c"
    endless.write_text("int main(void) { for (volatile int k = 0;; k++) {} }\n")
    with pytest.raises(RuntimeError, match="was stopped after 1 s"):
        microcontroller.run(
            microcontroller.compile([endless], tmp_path / "program"), np.array([0], np.int32), timeout=1
        )


def test_what_the_compiler_objects_to_is_told(microcontroller, tmp_path):
    wrong = tmp_path / "wrong.c"
    wrong.write_text("int main(void) { unsigned x = -1; return x; }\n")
    with pytest.raises(RuntimeError, match="sign-conversion"):
        microcontroller.compile([wrong], tmp_path / "program")


def test_a_missing_tool_is_named_with_its_package(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingToolError, match="apt install gcc-arm-none-eabi"):
        TARGETS["cortex-m3"].compile([PROGRAM], tmp_path / "program")
    with pytest.raises(MissingToolError, match="apt install qemu-user"):
        TARGETS["linux"].run(tmp_path / "program", np.empty(0, np.int32))
    assert TARGETS["cortex-m4"].missing == ["arm-none-eabi-gcc", "qemu-system-arm"]


def test_an_unknown_target_is_refused():
    with pytest.raises(InvalidParameterError, match="'avr' must be one of cortex-m3, cortex-m4, linux"):
        target_named("avr")
