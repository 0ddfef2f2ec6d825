"""Speed of the labelers beside their peers, on one signal, in one run, on one thread.

Run from the repository root: make bench ARGS="--minutes 10 --repeats 5 --long"
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["main"]

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
OURS = "mhealth, one lead"
SIGNALS = ("long", "records")

BREATHS_LONGER = 6
"""How many times longer the breathing signal is than the ECG: at 10 Hz inside there is less to do a minute."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    for name in THREADS:
        os.environ[name] = "1"  # before numpy is imported, which reads it once
    print(_machine())
    for section in (_labeling, _stages, _breaths, _coding, _imports, *([_long] if options.long else [])):
        for line in section(options):
            print(line, flush=True)
        print()
    print(f"Load at the end: {_load()}.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the signal (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of which the median counts (default: %(default)s)")
    parser.add_argument("--model", default="ecg", help="shipped model or .npz file (default: %(default)s)")
    parser.add_argument("--breath-model", default="respiration", help="the same for breaths (default: %(default)s)")
    parser.add_argument("--long", action="store_true", help="also label files of 1 and 24 hours, for their memory")
    return parser


def _machine() -> str:
    packages = ("numpy", "scipy", "numba", "scikit-learn", "neurokit2", "prominence-delineator", "sleepecg")
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    return (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, load {_load()}; one thread.\n"
        f"Python {platform.python_version()}, {versions}.\n"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _load() -> str:
    return " ".join(f"{average:.1f}" for average in os.getloadavg())


def _configured(benchmark: Any, options: argparse.Namespace) -> Any:
    """Return a benchmark that takes what the command line says."""
    for name in ("minutes", "model"):
        if hasattr(benchmark, name):
            setattr(benchmark, name, getattr(options, name))
    return benchmark


def _labeling(options: argparse.Namespace) -> Iterator[str]:
    """Compare the labeler with its peers."""
    from experiments.benchmarks._measure import in_turn
    from experiments.benchmarks.labeling import Label
    from experiments.benchmarks.peers import PEERS, Delineate

    benchmarks: dict[tuple[str, str], Any] = {}
    jobs: dict[tuple[str, str], Callable[[], object]] = {}
    missing: dict[tuple[str, str], str] = {}
    for signal in SIGNALS:
        for leads in Label.params[0]:
            row = (f"mhealth, {leads}", signal)
            benchmarks[row] = _configured(Label(), options)
            benchmarks[row].setup(leads, signal)
            jobs[row] = partial(benchmarks[row].time_label, leads, signal)
        for peer in PEERS:
            row = (peer, signal)
            benchmarks[row] = _configured(Delineate(), options)
            try:
                benchmarks[row].setup(peer, signal)
            except NotImplementedError as error:
                missing[row] = str(error)
            else:
                jobs[row] = partial(benchmarks[row].time_delineate, peer, signal)
    timings = in_turn(jobs, repeats=options.repeats)

    source = benchmarks[OURS, "long"].recordings[0].name
    yield (
        f"CPU seconds per lead-hour at 500 Hz, model {options.model}: {source}, {options.minutes:g} min; "
        f"median of {options.repeats}."
    )
    yield "In one piece, and cut into records of ten seconds, where fixed costs count. Ratio: to mhealth, one lead."
    yield ""
    yield "| method | one piece | range | ratio | records | range | ratio | failed |"
    yield "|---|---|---|---|---|---|---|---|"
    for name in dict.fromkeys(name for name, _ in benchmarks):
        cells, notes = [], []
        for signal in SIGNALS:
            row = (name, signal)
            if row in missing or timings[row].failure:
                cells += ["–"] * 3
                notes.append(missing.get(row) or timings[row].failure)
                continue
            hours, ours = benchmarks[row].lead_hours, timings[OURS, signal].median / benchmarks[OURS, signal].lead_hours
            seconds = [run / hours for run in timings[row].seconds]
            typical = timings[row].median / hours
            cells += [f"{typical:.2f}", f"{min(seconds):.2f}–{max(seconds):.2f}", f"{typical / ours:.2f}"]
            if failures := getattr(benchmarks[row], "failures", None):
                pieces = len(benchmarks[row].leads)
                notes.append(f"{failures.total()} of {pieces} ({', '.join(failures)})")
        yield f"| {name} | {' | '.join(cells)} | {'; '.join(dict.fromkeys(notes))} |"


def _stages(options: argparse.Namespace) -> Iterator[str]:
    """Say where the time of one lead goes."""
    from experiments.benchmarks._measure import in_turn
    from experiments.benchmarks.labeling import Label, Stages

    stages, whole = _configured(Stages(), options), _configured(Label(), options)
    stages.setup()
    whole.setup("one lead", "long")
    jobs = {name[5:]: getattr(stages, name) for name in vars(Stages) if name.startswith("time_")}
    timings = in_turn(jobs | {"whole": partial(whole.time_label, "one lead", "long")}, repeats=options.repeats)
    cost = {name: timing.median / stages.lead_hours for name, timing in timings.items()}
    total = cost.pop("whole")
    yield "Stages of one lead, CPU seconds per lead-hour."
    yield ""
    yield "| stage | seconds | share |"
    yield "|---|---|---|"
    for name, seconds in (cost | {"the rest": total - sum(cost.values()), "all": total}).items():
        yield f"| {name} | {seconds:.3f} | {seconds / total:.0%} |"


def _breaths(options: argparse.Namespace) -> Iterator[str]:
    """Compare the labeler of breaths with its peers, and weigh what its stream keeps."""
    from experiments.benchmarks._measure import in_turn
    from experiments.benchmarks.breaths import PEERS, LabelBreaths, PeerBreaths, StreamBreaths

    minutes = BREATHS_LONGER * options.minutes
    ours = LabelBreaths()
    ours.minutes, ours.model = minutes, options.breath_model
    ours.setup()
    jobs: dict[str, Callable[[], object]] = {"mhealth": ours.time_label}
    notes = {}
    for peer in PEERS:
        benchmark = PeerBreaths()
        benchmark.minutes = minutes
        try:
            benchmark.setup(peer)
        except NotImplementedError as error:
            notes[peer] = str(error)
        else:
            jobs[peer] = partial(benchmark.time_find, peer)
    timings = in_turn(jobs, repeats=options.repeats)
    notes |= {name: timing.failure for name, timing in timings.items() if timing.failure}

    source = ours.recording.name
    yield f"Breaths, CPU seconds per hour at 125 Hz: {source}, {minutes:g} min; median of {options.repeats}."
    yield ""
    yield "| method | seconds | range | ratio | failed |"
    yield "|---|---|---|---|---|"
    for name in ("mhealth", *PEERS):
        if name in notes:
            yield f"| {name} | – | – | – | {notes[name]} |"
            continue
        seconds = [run / ours.hours for run in timings[name].seconds]
        typical, ratio = timings[name].median / ours.hours, timings[name].median / timings["mhealth"].median
        yield f"| {name} | {typical:.3f} | {min(seconds):.3f}–{max(seconds):.3f} | {ratio:.1f} | |"
    yield ""
    stream = StreamBreaths()
    stream.model = options.breath_model
    stream.minutes = min(stream.minutes, minutes)
    stream.setup()
    yield f"Largest state of a stream of one breathing channel: {stream.track_peak_state() / 1e3:.0f} kB."


def _coding(options: argparse.Namespace) -> Iterator[str]:
    """Compare the OMP kernel with scikit-learn's."""
    from experiments.benchmarks._measure import in_turn
    from experiments.benchmarks.coding import Omp

    benchmark = Omp()
    benchmark.model = options.model
    try:
        benchmark.setup()
    except NotImplementedError as error:
        yield f"Batch-OMP: {error}"
        return
    jobs = {"mhealth": benchmark.time_own, "scikit-learn": benchmark.time_scikit_learn}
    cost = {name: t.median / benchmark.n_windows * 1e6 for name, t in in_turn(jobs, repeats=options.repeats).items()}
    yield (
        f"Batch-OMP, {benchmark.n_nonzero} atoms a window: mhealth {cost['mhealth']:.2f} µs, scikit-learn "
        f"orthogonal_mp_gram {cost['scikit-learn']:.1f} µs, ratio {cost['scikit-learn'] / cost['mhealth']:.1f}."
    )


def _imports(options: argparse.Namespace) -> Iterator[str]:
    """Time imports, and weigh what a stream keeps."""
    from experiments.benchmarks.labeling import Stream
    from experiments.benchmarks.startup import Import
    from mhealth.errors import InvalidParameterError

    benchmark = Import()
    benchmark.repeats = options.repeats
    for module in Import.params[0]:
        yield f"import {module}: {benchmark.track_cpu_seconds(module):.3f} CPU s beyond a bare interpreter."
    stream = Stream()
    stream.model = options.model
    try:
        stream.setup()
    except InvalidParameterError as error:  # a U-Net
        yield f"State of a stream of one lead: {error}"
    else:
        yield f"State of a stream of one lead: {stream.track_state() / 1e3:.0f} kB."


def _long(options: argparse.Namespace) -> Iterator[str]:
    """Measure the memory of the command line on long files."""
    from experiments.benchmarks.labeling import CommandLine

    for hours in CommandLine.params[0]:
        benchmark = CommandLine()
        benchmark.model = options.model
        benchmark.setup(hours)
        try:
            peak = benchmark.track_peak_memory(hours)
            yield f"mhealth label, {hours:g} h of one lead at 500 Hz from WFDB: peak memory {peak:.0f} MB."
        except RuntimeError as error:
            yield f"mhealth label, {hours:g} h: {error}"
        finally:
            benchmark.teardown(hours)


if __name__ == "__main__":
    main()
