"""The folder of an export appears as a whole or not at all, with the files that it needs and no others."""

import subprocess

import numpy as np
import pytest

from mhealth.errors import UnwritableOutputError
from mhealth.export._folder import BEYOND, MANIFEST, c_values, golden_header, new_folder, runtime_files
from mhealth.export._host import compile_c


def test_a_folder_appears_when_it_is_complete(tmp_path):
    out = tmp_path / "here" / "export"
    with new_folder(out) as folder:
        (folder / MANIFEST).write_text("{}")
        assert not out.exists()
    assert [path.name for path in out.iterdir()] == [MANIFEST]
    with new_folder(out) as folder:
        (folder / "new").write_text("")
    assert [path.name for path in out.iterdir()] == ["new"]
    assert [path.name for path in out.parent.iterdir()] == ["export"]


def test_after_an_error_the_former_export_is_untouched(tmp_path):
    out = tmp_path / "export"
    with new_folder(out) as folder:
        (folder / MANIFEST).write_text("old")

    def interrupted():
        with new_folder(out) as folder:
            (folder / MANIFEST).write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (out / MANIFEST).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UnwritableOutputError, match="is no former export"), new_folder(tmp_path):
        pass
    with pytest.raises(UnwritableOutputError, match="is no former export"), new_folder(tmp_path / "thesis.tex"):
        pass
    assert (tmp_path / "thesis.tex").exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableOutputError, match="cannot be written"), new_folder(tmp_path / "file" / "export"):
        pass


def test_the_runtime_is_what_is_included_directly_or_not():
    names = [path.name for path in runtime_files('#include "mh_segment.h"\n#include <stdio.h>\n')]
    assert names == sorted(names)
    assert {"mh.h", "mh_fixed.h", "mh_scale.c", "mh_scale.h", "mh_segment.c", "mh_segment.h"} <= set(names)
    assert "mh_codes.c" not in names


def test_golden_vectors_are_valid_c(tmp_path, rng):
    samples = np.concatenate([rng.integers(-(2**15) + 1, 2**15 - 1, 100), [-(2**31), BEYOND]])
    header = golden_header(samples, [(1, 0, 5, 2**32 - 1, 9), (3, 1, 2**32 - 2, 7, 8)], "made by a test")
    (tmp_path / "golden.h").write_text(header)
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "mh_fixed.h"\n#include "golden.h"\nint main(void) {\n'
        '    for (unsigned n = 0; n < GOLDEN_SAMPLES; n++) { printf("%d\\n", (int)golden_sample(n)); }\n'
        "    return golden_events[1][2] == -2 && golden_events[0][3] == -1 ? 0 : 1;\n}\n"
    )
    program = compile_c([tmp_path / "main.c"], tmp_path / "main", include=[tmp_path])
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    np.testing.assert_array_equal(np.array(said.split(), np.int64), samples)
    assert max(map(len, c_values(samples).splitlines())) <= 120
