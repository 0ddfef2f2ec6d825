"""Label wearable ECG, second by second: waves of the heartbeat, and where a signal cannot be used.

Research software, no medical device.
"""

from mhealth.core import Annotation, Recording, Spans

__version__ = "0.1.0.dev0"

__all__ = ["Annotation", "Recording", "Spans", "__version__"]
