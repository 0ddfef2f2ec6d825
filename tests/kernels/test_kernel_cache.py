"""Compiled kernels are kept where the user may write."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mhealth import _kernels

PROGRAM = """
import importlib.util, os, sys
specification = importlib.util.spec_from_file_location("kernels", sys.argv[1])
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)
print(module.cache_folder())
print(os.environ.get("NUMBA_CACHE_DIR"))
"""


@pytest.fixture
def imported(tmp_path):
    """Return a function that imports a copy of the package in a new process: (folder, NUMBA_CACHE_DIR) there."""
    package = tmp_path / "_kernels"
    package.mkdir()
    shutil.copy(_kernels.__file__, package)

    def run(**environment):
        kept = {key: os.environ[key] for key in ("PATH", "TMPDIR") if key in os.environ}
        arguments = [sys.executable, "-B", "-c", PROGRAM, str(package / "__init__.py")]
        result = subprocess.run(arguments, env=kept | environment, capture_output=True, text=True, check=True)
        folder, variable = result.stdout.split()
        return Path(folder), None if variable == "None" else Path(variable)

    return package, run


def test_kernels_are_kept_beside_their_source(imported):
    package, run = imported
    assert run(HOME=str(package)) == (package / "__pycache__", None)


def test_a_folder_that_the_user_names_is_kept(imported, tmp_path):
    _, run = imported
    assert run(HOME="/", NUMBA_CACHE_DIR=str(tmp_path / "mine")) == (tmp_path / "mine",) * 2


def test_where_the_package_is_read_only_the_users_cache_folder_is_used(imported, tmp_path):
    package, run = imported
    (package / "__pycache__").write_text("in the way, as a read-only folder would be, for root too")
    expected = tmp_path / "home" / ".cache" / "mhealth"
    assert run(HOME=str(tmp_path / "home")) == (expected, expected)


def test_where_nothing_is_writable_a_private_temporary_folder_is_used(imported, tmp_path):
    package, run = imported
    (package / "__pycache__").write_text("")
    (tmp_path / "file").write_text("")
    folder, variable = run(HOME=str(tmp_path / "file"))
    try:
        assert folder == variable
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        folder.rmdir()
