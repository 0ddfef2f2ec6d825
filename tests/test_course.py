"""The course: its scripts run on simulated people, and its pages are made of them."""

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "course"
SCRIPTS = sorted(FOLDER.glob("[0-9]*.py"))
FIGURE = re.compile(r"!\[[^\]]+\]\((figures/[\w.]+)\)")


@pytest.fixture(scope="module")
def render():
    """The module that makes pages of scripts."""
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location("render", FOLDER / "render.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(FOLDER))


def name_of(path):
    return path.name


def page_of(script):
    return script.with_suffix(".md").read_text(encoding="utf-8")


def test_there_are_five_pages():
    assert [script.stem[3:] for script in SCRIPTS] == ["signal", "segments", "codes", "crf", "evaluation"]


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_every_script_runs_on_simulated_people_and_draws_what_its_page_shows(render, script, tmp_path, monkeypatch):
    monkeypatch.setenv("MHEALTH_DATA", str(tmp_path / "nowhere"))
    printed = render.run(script, tmp_path)
    assert next(filter(None, "\n".join(printed).splitlines()))
    assert any("simulated: 16 people by mhealth.simulate" in text for text in printed)
    drawn = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "figures").iterdir()}
    assert drawn == set(FIGURE.findall(page_of(script)))


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_every_page_is_that_of_its_script(render, script):
    assert render.without_output(page_of(script)) == render.page(script), "run `make docs`"


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_the_pages_in_the_repository_are_made_of_real_recordings(script):
    assert "real: 40 records of LUDB 1.0.1 (ODC-By 1.0)\n" in page_of(script)


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_scripts_use_public_names_only(script):
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        else:
            continue
        assert not [name for name in names if name.startswith("_")], f"line {node.lineno}"


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_every_page_ends_with_three_to_five_exercises_and_a_hint_for_each(script):
    exercises = page_of(script).partition("## Exercises")[2]
    tasks, _, hints = exercises.partition("<details><summary>Hints</summary>")
    numbers = [re.findall(r"^(\d)\. ", part, re.MULTILINE) for part in (tasks, hints)]
    assert numbers[0] == numbers[1] == [str(k) for k in range(1, len(numbers[0]) + 1)]
    assert 3 <= len(numbers[0]) <= 5
    assert hints.endswith("</details>\n")


def test_figures_are_small_and_each_is_shown():
    figures = {path.relative_to(FOLDER).as_posix(): path.stat().st_size for path in (FOLDER / "figures").iterdir()}
    assert set(figures) == {name for script in SCRIPTS for name in FIGURE.findall(page_of(script))}
    assert max(figures.values()) < 200_000
    assert sum(figures.values()) < 1_500_000


def test_a_page_holds_text_code_and_what_was_printed(render, tmp_path):
    script = tmp_path / "x.py"
    script.write_text('"""Title."""\n\n# %% [markdown]\n# # One\n#\n# Two\n\n# %%\nprint(1 + 1)\n\n# %%\nx = 3\n')
    printed = render.run(script, tmp_path)
    page = render.page(script, printed)
    assert printed == ["", "2", ""]
    assert page.endswith("# One\n\nTwo\n\n```python\nprint(1 + 1)\n```\n\n```text\n2\n```\n\n```python\nx = 3\n```\n")
    assert render.without_output(page) == render.page(script)


def test_an_error_in_a_script_names_its_line(render, tmp_path):
    script = tmp_path / "x.py"
    script.write_text("# %%\nx = 1\n\n# %% [markdown]\n# text\n\n# %%\nx += 1\n1 / 0\n")
    with pytest.raises(ZeroDivisionError) as caught:
        render.run(script, tmp_path)
    assert caught.traceback[-1].lineno + 1 == 9
