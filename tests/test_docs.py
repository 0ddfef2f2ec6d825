"""The documentation keeps its word: links lead somewhere, examples run, commands and options exist."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

from mhealth.cli import app
from mhealth.crf import ECG_GRAMMAR
from mhealth.io import write_spans
from mhealth.labeling import TrainingSettings
from mhealth.simulate import demo_recording, synthetic_ecg

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUNNABLE = ["README.md", "docs/start.md", "docs/guides/intervals.md", "docs/guides/labelling.md"]
TRAINING = "docs/guides/training.md"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks(page, language):
    """Return the fenced blocks of a language."""
    return [body for kind, body in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def prose(page):
    """Return a page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page):
    """Return the anchors that GitHub makes of the headings."""
    kept = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose(page))]
    return {heading.replace(" ", "-") for heading in kept}


def broken_links(page):
    """Return the relative links of a page whose file or anchor does not exist."""
    broken = []
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if re.match(r"\w+:", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page):
    assert broken_links(page) == []


def test_a_broken_link_is_told(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One, two\n[a](page.md#one-two) [b](nowhere.md) [c](#three) [d](https://x.org)", encoding="utf-8")
    assert broken_links(page) == ["nowhere.md", "#three"]


def test_every_page_is_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in LINK.findall(prose(page))}
        waiting += [target for target in targets if target.suffix == ".md" and target not in reached]
    assert set(PAGES) <= reached


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_figure_is_left_open(page):
    assert re.findall(r"TBD[\w-]*", page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_python_example_compiles(page):
    for block in blocks(page, "python"):
        compile(block, name_of(page), "exec")


def named_commands():
    """Yield (page, command, options) of everything in code that calls the command line."""
    for page in PAGES:
        code = "\n".join([*blocks(page, "sh"), *re.findall(r"`([^`\n]+)`", prose(page))])
        for line in code.splitlines():
            for command, rest in re.findall(r"\bmhealth (?!import\b)([a-z]+)\b([^#;&|]*)", line):
                yield name_of(page), command, re.findall(r"(?<!\S)(--[a-z-]+)", rest)


def test_every_command_and_option_that_is_named_exists():
    commands = typer.main.get_command(app).commands
    named = list(named_commands())
    assert {command for _, command, _ in named} == set(commands)
    for page, command, options in named:
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert set(options) <= known, f"{page}: mhealth {command} has no {sorted(set(options) - known)}"


@pytest.mark.parametrize("page", ["docs/method/span-crf.md", "docs/design/2026-11-21-longest-durations.md"])
def test_the_longest_durations_are_those_of_the_grammar(page):
    pairs = zip(ECG_GRAMMAR.states, ECG_GRAMMAR.longest, strict=True)
    assert ", ".join(f"{state} {seconds:g}" for state, seconds in pairs) + " s" in prose(ROOT / page)


def test_the_sizes_of_the_codes_are_those_of_the_settings():
    settings, page = TrainingSettings(), prose(ROOT / "docs" / "method" / "signal-path.md")
    assert f"dictionary of {settings.n_atoms} atoms with at most {settings.n_nonzero} of them" in page
    assert f"at most {5 * settings.n_nonzero} of {2 * 5 * settings.n_atoms} numbers are not zero" in page
    assert f"with {settings.n_first} and {settings.n_second} entries" in page


@pytest.mark.parametrize("image", sorted((ROOT / "docs" / "images").glob("*.png")), ids=name_of)
def test_images_are_small_and_their_origin_is_told(image):
    assert image.stat().st_size < 300_000
    assert f"`{image.name}`" in (image.parent / "README.md").read_text(encoding="utf-8")


def write_table(recording, path):
    columns = {f"{name} [mV]": recording.signals[:, k] for k, name in enumerate(recording.channels)}
    pd.DataFrame({"time_s": np.arange(recording.n_samples) / recording.fs, **columns}).to_csv(path, index=False)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the files that the examples name: a recording, and three short annotated ones."""
    monkeypatch.chdir(tmp_path)
    write_table(demo_recording()[0], tmp_path / "ecg.csv")
    (tmp_path / "my_records").mkdir()
    for k in range(3):
        recording, truth = synthetic_ecg(fs=250, duration=8, leads=("I", "II"), heart_rate=60 + 10 * k, seed=k)
        write_table(recording, tmp_path / "my_records" / f"night{k}.csv")
        write_spans(truth.spans, tmp_path / "my_records" / f"night{k}.labels.csv")
    return tmp_path


def run(page):
    """Run the Python examples of a page one after the other, as a reader would; return what they define."""
    names = {}
    for block in blocks(ROOT / page, "python"):
        exec(compile(block, page, "exec"), names)
    return names


def test_the_examples_of_the_readme_do_what_it_says(workplace, capsys):
    names = run("README.md")
    waves = names["waves"].to_frame()
    assert ",".join(waves.columns) == "channel,label,onset,peak,offset,onset_s,offset_s,probability"
    counts = waves.label.value_counts()
    assert counts["unusable"] == 2  # the dropout, in both leads
    assert min(counts["P"], counts["QRS"], counts["T"]) > 60  # 40 s, two leads, 68 beats a minute
    assert len(names["beats"]) == counts["QRS"]
    assert (workplace / "ecg.png").read_bytes().startswith(b"\x89PNG")
    # the stream prints every wave once, but for those that come at its end
    assert len(capsys.readouterr().out.splitlines()) + len(names["last"]) == len(waves)
    # what three simulated recordings taught finds the waves of one of them
    assert (workplace / "mine.npz").is_file()
    assert {"P", "QRS", "T"} <= set(names["table"].label)


@pytest.mark.parametrize("page", RUNNABLE[1:])
def test_the_examples_of_a_page_run(page, workplace):
    assert run(page)


def test_the_examples_on_training_run(workplace):
    names = run(TRAINING)
    assert names["scores"].shape == (2,)
    recording = names["recordings"][0]
    pd.testing.assert_frame_equal(
        names["same"].label(recording).to_frame(), names["labeler"].label(recording).to_frame()
    )


@pytest.mark.realdata
def test_the_example_on_data_sets_runs(tmp_path, monkeypatch, data_dir):
    (tmp_path / "data").symlink_to(data_dir)
    monkeypatch.chdir(tmp_path)
    assert len(run("docs/data.md")["annotation"].annotated) == 12
