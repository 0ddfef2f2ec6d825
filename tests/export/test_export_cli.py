"""`mhealth export` writes a folder that works as it is, proves it, and refuses with a remedy what it cannot export."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from exports import installed, written
from typer.testing import CliRunner

from mhealth.cli import app
from mhealth.core import Recording
from mhealth.errors import InvalidParameterError, MissingToolError
from mhealth.export import Export, Source, check_exportable, export_model, load_source, prove
from mhealth.export import _export as module
from mhealth.export._toolchain import TARGETS
from mhealth.labeling import EcgLabeler, load


@pytest.fixture
def mhealth(monkeypatch, tmp_path):
    """Return a function that runs the command line, without the emulators' measurement unless it is asked for."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, emulators=False):
        if not emulators:
            monkeypatch.setattr(module, "_measured", lambda *_: None)
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The shipped model of ECG for Linux, as a folder."""
    return export_model(load_source("ecg-mcu", target="linux"), tmp_path_factory.mktemp("x") / "ecg", target="linux")


def test_the_folder_has_what_its_readme_says(exported):
    folder = exported.folder
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {
        "README.md", "Makefile", "manifest.json", "library.properties", "library.json", "src/ecg_mcu.h",
        "src/ecg_mcu.c", "src/mh_pipeline.c", "golden/golden.h", "golden/check.c", "examples/main.c",
        "examples/monitor/monitor.ino",
    } <= names  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["sha256"] == load_source("ecg-mcu", target="linux").sha256
    assert manifest["stages"]["shared"] > 98
    assert manifest["stages"]["potentials"] < 0.1
    for name in ("src/ecg_mcu.c", "src/ecg_mcu.h", "README.md"):
        text = (folder / name).read_text()
        assert manifest["sha256"] in text
        assert "@" not in text
    assert json.loads((folder / "library.json").read_text())["headers"] == "ecg_mcu.h"


def test_its_makefile_checks_the_golden_vectors_and_makes_an_example(exported, tmp_path):
    folder = shutil.copytree(exported.folder, tmp_path / "here")
    said = subprocess.run(["make", "check"], cwd=folder, capture_output=True, text=True, check=False)
    assert "the golden vectors agree" in said.stdout, said.stderr
    golden = folder / "golden" / "golden.h"
    text = golden.read_text()
    row = text.index("golden_events[GOLDEN_EVENTS][5] = {") + 45
    golden.write_text(text[:row] + text[row:].replace("{1, 0,", "{2, 0,", 1))
    (folder / "golden" / "check.c").touch()
    assert subprocess.run(["make", "-B", "check"], cwd=folder, capture_output=True, check=False).returncode != 0
    subprocess.run(["make"], cwd=folder, capture_output=True, check=True)
    lead = np.array(written("ecg-mcu").table.history * [0] + [-(2**31)] + 3000 * [5])
    lines = "\n".join("-" if n == -(2**31) else str(n) for n in lead)
    said = subprocess.run([folder / "example"], input=lines, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[:2] == ["label,onset,peak,offset,flags", f"unusable,0,,{len(lead)},"]


def test_the_header_is_for_cpp_too(exported, tmp_path):
    compiler = shutil.which("g++") or pytest.skip("no C++ compiler")
    source = tmp_path / "sketch.cpp"
    source.write_text("#include <ecg_mcu.h>\necg_mcu_state_t s;\nint main() { return ecg_mcu_init(&s); }\n")
    subprocess.run([compiler, "-fsyntax-only", "-Wall", f"-I{exported.folder / 'src'}", str(source)], check=True)


def test_the_command_writes_and_tells(mhealth, tmp_path):
    result = mhealth("export", "ecg", "--out", tmp_path / "ecg")
    assert result.exit_code == 0, result.output
    assert "ecg is ecg-mcu" in result.output
    assert "log potentials" in result.output
    assert (tmp_path / "ecg" / "src" / "ecg_mcu.c").is_file()


def test_a_network_comes_with_its_flatbuffer(mhealth, tmp_path):
    result = mhealth("export", "tcn-int8", "--target", "linux", "--profile", "speed", "--out", tmp_path / "tcn")
    assert result.exit_code == 0, result.output
    network = load("tcn-int8").model_.task.front_end.features.context.network
    assert (tmp_path / "tcn" / "tcn_int8.tflite").read_bytes() == network.graph


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("ecg", "--fs", "500"), "fs=500 Hz, but the model works at 250 Hz"),
        (("respiration", "--fs", "250"), "the model works at 10 Hz"),
        (("unet",), "reads whole recordings"),
        (("unet-int8",), "Export tcn-int8"),
        (("tcn",), "computes in float32; microcontrollers get int8"),
        (("nothing.npz",), "cannot be read"),
        (("nothing",), "neither a shipped model"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_a_remedy(mhealth, tmp_path, arguments, told):
    result = mhealth("export", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert told in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_leads_side_by_side_are_refused():
    from dataclasses import replace

    labeler = EcgLabeler(leads="early")
    labeler.model_ = replace(load("ecg-mcu").model_, leads=("I", "II"))
    with pytest.raises(InvalidParameterError, match=r"needs the leads I, II side by side"):
        check_exportable(labeler)


def test_recordings_that_show_nothing_cannot_calibrate(tmp_path):
    flat = Recording(signals=np.zeros((5000, 1), np.float32), fs=250.0, channels=("II",), units=("mV",))
    with pytest.raises(ValueError, match="none of 1 recordings has a channel that moves"):
        export_model(load_source("ecg-mcu", target="linux"), tmp_path / "out", target="linux", calibration=[flat])
    assert not (tmp_path / "out").exists()


def test_an_unknown_profile_or_target_is_refused(tmp_path):
    source = load_source("ecg-mcu", target="linux")
    with pytest.raises(InvalidParameterError, match="profile='tiny'"):
        export_model(source, tmp_path / "out", profile="tiny")
    with pytest.raises(InvalidParameterError, match="target='avr'"):
        export_model(source, tmp_path / "out", target="avr")


def test_a_model_of_a_computer_has_no_budget_on_linux():
    assert load_source("ecg", target="linux").name == "ecg"
    assert load_source("ecg", target="cortex-m3").name == "ecg-mcu"


def test_names_become_identifiers():
    assert module._identifier("ecg-mcu") == "ecg_mcu"
    assert module._identifier("12 leads.v2") == "m12_leads_v2"
    assert module._identifier("ä") == "model"


def test_help_teaches(mhealth):
    said = " ".join(mhealth("export", "--help").output.split())
    for word in ("--calibrate", "--check", "cortex-m3", "MODEL", "budget", "Examples"):
        assert word in said


def test_a_missing_tool_of_another_target_is_told_and_one_of_the_own_target_fails(exported, monkeypatch):
    def absent(name):
        raise MissingToolError(f"{name} is not installed. Install it (apt install gcc-arm-none-eabi).")

    monkeypatch.setattr("mhealth.export._toolchain._tool", absent)
    host, m3, m4, aarch64 = prove(exported)
    assert host.passed
    assert "equal to the twin" in host.result
    assert m3.passed is m4.passed is None
    assert "apt install gcc-arm-none-eabi" in m3.result
    assert aarch64.passed is False  # the export is for Linux
    for_m3 = Export(**{**vars(exported), "target": "cortex-m3"})
    assert [stage.passed for stage in prove(for_m3)] == [True, False, None, None]


def test_a_difference_is_found(exported, monkeypatch):
    monkeypatch.setattr("mhealth.export._proof.TARGETS", {})
    lead = np.concatenate(module.golden_leads("ecg"))
    table = written("respiration-mcu").table
    host, *_ = prove(Export(**{**vars(exported), "table": table, "target": "linux"}), [lead])
    assert host.passed is False
    assert "differs from event" in host.result


@pytest.mark.embedded
def test_the_proof_of_a_shipped_model_is_complete(mhealth, tmp_path):
    for name in TARGETS:
        installed(name)
    result = mhealth("export", "respiration", "--check", "--out", tmp_path / "out", emulators=True)
    assert result.exit_code == 0, result.output
    assert result.output.count("equal to the twin") == 4
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["measured"]["ram"] <= manifest["budget"]["ram"]


def test_the_source_says_where_it_comes_from():
    source = load_source("ecg-mcu", target="cortex-m3")
    assert isinstance(source, Source)
    assert len(source.sha256) == 64
    assert "licence" in source.about
