"""What an import costs."""

from __future__ import annotations

import sys
from statistics import median

from experiments.benchmarks._measure import child_cpu_seconds

__all__ = ["Import"]


class Import:
    """Importing a module into a fresh interpreter."""

    params = (("mhealth", "mhealth.core", "mhealth.labeling", "mhealth.cli"),)
    param_names = ("module",)
    unit = "s"
    repeats = 5

    def track_cpu_seconds(self, module: str) -> float:
        """CPU seconds beyond those of an interpreter that imports nothing."""
        bare = [child_cpu_seconds([sys.executable, "-c", ""]) for _ in range(self.repeats)]
        full = [child_cpu_seconds([sys.executable, "-c", f"import {module}"]) for _ in range(self.repeats)]
        return median(full) - median(bare)
