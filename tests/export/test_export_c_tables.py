"""Tables come out of C as they went in."""

import numpy as np

from mhealth.export._c_tables import c_table
from mhealth.export._host import compile_c, run_program

PROGRAM = """
#include <stdint.h>
#include <stdio.h>
typedef struct { uint8_t small; uint32_t large; int32_t grid[2][3]; } table_t;
%s
int main(void)
{
    const int32_t few[2] = {table.small, (int32_t)(table.large >> 1)};
    (void)fwrite(few, sizeof few, 1, stdout);
    (void)fwrite(table.grid, sizeof table.grid, 1, stdout);
    return 0;
}
"""


def test_the_extremes_of_every_type_survive(tmp_path):
    grid = [[-(2**31), 2**31 - 1, -1], [0, 1, -(2**31) + 1]]
    table = c_table("table_t", "table", {"small": np.uint8(255), "large": 2**32 - 1, "grid": grid})
    (tmp_path / "main.c").write_text(PROGRAM % table)
    got = run_program(compile_c([tmp_path / "main.c"], tmp_path / "main"), np.empty(0, np.int32))
    assert got.tolist() == [255, 2**31 - 1, *grid[0], *grid[1]]
