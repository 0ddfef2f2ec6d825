"""Label wearable ECG and respiration, second by second: waves of the heartbeat, phases of the breath.

Research software, no medical device.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mhealth.core import Annotation, Recording, Spans

if TYPE_CHECKING:
    from mhealth.intervals import breath_intervals, ecg_intervals, interval_trend
    from mhealth.io import blocks, read_annotation, read_recording, read_spans, write_spans
    from mhealth.labeling import BreathLabeler, EcgLabeler, load, pretrained_models
    from mhealth.report import html_report, plot_breaths, plot_labels, save_figure
    from mhealth.simulate import synthetic_ecg, synthetic_respiration

__version__ = "0.1.0.dev0"

__all__ = [
    "Annotation",
    "BreathLabeler",
    "EcgLabeler",
    "Recording",
    "Spans",
    "__version__",
    "blocks",
    "breath_intervals",
    "ecg_intervals",
    "html_report",
    "interval_trend",
    "load",
    "plot_breaths",
    "plot_labels",
    "pretrained_models",
    "read_annotation",
    "read_recording",
    "read_spans",
    "save_figure",
    "synthetic_ecg",
    "synthetic_respiration",
    "write_spans",
]

# Resolved when they are first used, so that `import mhealth` costs no more than numpy.
_HOMES = {
    "BreathLabeler": "labeling",
    "EcgLabeler": "labeling",
    "blocks": "io",
    "breath_intervals": "intervals",
    "ecg_intervals": "intervals",
    "html_report": "report",
    "interval_trend": "intervals",
    "load": "labeling",
    "plot_breaths": "report",
    "plot_labels": "report",
    "pretrained_models": "labeling",
    "read_annotation": "io",
    "read_recording": "io",
    "read_spans": "io",
    "save_figure": "report",
    "synthetic_ecg": "simulate",
    "synthetic_respiration": "simulate",
    "write_spans": "io",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mhealth' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"mhealth.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
