"""How time and memory are measured."""

from __future__ import annotations

import gc
import pickle
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mhealth.labeling import LabelStream

__all__ = ["Timing", "child_cpu_seconds", "child_peak_memory", "in_turn", "state_size"]

# Linux counts what the parent held when it started a child among the child's memory, so a small process starts it.
_LAUNCHER = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


@dataclass
class Timing:
    """CPU seconds of repeated runs, or why there are none."""

    seconds: list[float] = field(default_factory=list)
    failure: str = ""

    @property
    def median(self) -> float:
        """Median of the runs, NaN if there are none."""
        return median(self.seconds) if self.seconds else float("nan")


def in_turn(jobs: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, Timing]:
    """Time jobs one after the other, `repeats` times round, so that a busy spell of the machine hits all of them.

    A job that raises is reported as failed and not run again.
    """
    timings = {name: Timing() for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            if timings[name].failure:
                continue
            gc.collect()
            start = time.process_time()
            try:
                job()
            except Exception as error:  # a peer may raise anything
                timings[name] = Timing(failure=f"{type(error).__name__}: {error}")
            else:
                timings[name].seconds.append(time.process_time() - start)
    return timings


def child_cpu_seconds(command: Sequence[str]) -> float:
    """Return the CPU seconds that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def child_peak_memory(command: Sequence[str]) -> float:
    """Return the largest resident memory of a command in MB (10⁶ bytes).

    Raises
    ------
    RuntimeError
        If the command fails; the message holds what it wrote to stderr.
    """
    done = subprocess.run([sys.executable, "-c", _LAUNCHER, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    unit = 1 if sys.platform == "darwin" else 1024
    return int(done.stdout) * unit / 1e6


def state_size(stream: LabelStream) -> int:
    """Return the bytes that a pickled stream takes, without the model that all its channels share."""
    return len(pickle.dumps(stream)) - len(pickle.dumps(stream._groups[0][1]._model))
