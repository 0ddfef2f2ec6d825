"""Label wearable ECG, second by second: waves of the heartbeat, and where a signal cannot be used.

Research software, no medical device.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mhealth.core import Annotation, Recording, Spans

if TYPE_CHECKING:
    from mhealth.intervals import ecg_intervals
    from mhealth.io import blocks, read_annotation, read_recording, read_spans, write_spans
    from mhealth.labeling import EcgLabeler, load, pretrained_models
    from mhealth.report import html_report, plot_labels, save_figure
    from mhealth.simulate import synthetic_ecg

__version__ = "0.1.0.dev0"

__all__ = [
    "Annotation",
    "EcgLabeler",
    "Recording",
    "Spans",
    "__version__",
    "blocks",
    "ecg_intervals",
    "html_report",
    "load",
    "plot_labels",
    "pretrained_models",
    "read_annotation",
    "read_recording",
    "read_spans",
    "save_figure",
    "synthetic_ecg",
    "write_spans",
]

# Resolved when they are first used, so that `import mhealth` costs no more than numpy.
_HOMES = {
    "EcgLabeler": "labeling",
    "blocks": "io",
    "ecg_intervals": "intervals",
    "html_report": "report",
    "load": "labeling",
    "plot_labels": "report",
    "pretrained_models": "labeling",
    "read_annotation": "io",
    "read_recording": "io",
    "read_spans": "io",
    "save_figure": "report",
    "synthetic_ecg": "simulate",
    "write_spans": "io",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mhealth' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"mhealth.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
