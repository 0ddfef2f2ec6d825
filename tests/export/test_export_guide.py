"""The guide to exports was followed: every command of it, in an empty folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from exports import installed

from mhealth.export._budget import BUDGETS, CHIPS, PEERS
from mhealth.export._toolchain import TARGETS

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "export.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def parts():
    """Return the text of each section by its heading."""
    titles = re.split(r"^## (.+)$", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(titles[1::2], titles[2::2], strict=True))


def follow(section, folder):
    """Run the commands of a section as a reader would, and return what they print."""
    said = ""
    for kind, body in BLOCK.findall(parts()[section]):
        if kind in ("sh", "python"):
            command = [sys.executable, "-c", body] if kind == "python" else ["bash", "-euo", "pipefail", "-c", body]
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            done = subprocess.run(
                command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{body}\n{done.stdout}\n{done.stderr}"
            said += done.stdout
    return said


@pytest.mark.embedded
def test_every_command_works_in_an_empty_folder(tmp_path):
    installed("cortex-m3")
    follow("Write it", tmp_path)
    for name in re.findall(r"^\| `([^|]*)` \|", parts()["Write it"], re.MULTILINE):
        for file in name.split("`, `"):
            assert list((tmp_path / "blue_pill").glob(file)), file
    said = follow("Try it here", tmp_path)
    assert "the golden vectors agree" in said
    shown = next(body for kind, body in BLOCK.findall(parts()["Try it here"]) if kind == "text").splitlines()
    assert shown[:-1] == said[said.index("label,onset") :].splitlines()[: len(shown) - 1]
    said = follow("Try it on a Cortex-M3", tmp_path)
    assert "agree on an emulated cortex-m3" in said
    assert {row.split()[1:3] == ["0", "0"] for row in re.findall(r"^ *\d+\t.*\.o$", said, re.MULTILINE)} == {True}
    keys = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", parts()["Budgets"], re.MULTILINE)))
    manifest = json.loads((tmp_path / "blue_pill" / "manifest.json").read_text())
    assert set(keys) <= set(manifest)


def test_budgets_and_energies_are_those_of_the_code():
    limits = re.findall(r"≤ (\d+) kB \| ≤ (\d+) kB \| ≤ (\d+) % \| ≤ ([\d.]+) points", parts()["Budgets"])
    wanted = [BUDGETS[key] for key in (("sparse", "size"), ("network", "size"), ("network", "speed"))]
    assert [tuple(map(float, row)) for row in limits] == [
        (b.flash / 1024, b.ram / 1024, b.share, b.loss) for b in wanted
    ]
    for chip in CHIPS:
        assert f"| {chip.name} | {chip.current:.0f} µA/MHz at {chip.voltage:.1f} V |" in parts()["Energy"]
    for peer in PEERS:
        told = "not published" if peer.energy is None else f"{peer.energy:,.0f} µJ"
        assert f"| {peer.chip}" in parts()["Energy"]
        assert told in parts()["Energy"]


def test_the_targets_and_their_tools_are_named():
    text = GUIDE.read_text(encoding="utf-8")
    for target in TARGETS.values():
        assert target.emulator.replace("qemu-aarch64", "qemu-user") in text
