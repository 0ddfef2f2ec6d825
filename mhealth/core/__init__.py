"""The types that flow along the signal path, the checks on what users hand in, and files written whole."""

from mhealth.core._annotation import Annotation
from mhealth.core._candidates import Candidates
from mhealth.core._channels import channel_keys
from mhealth.core._checks import check_channels, check_fs, check_signals
from mhealth.core._files import make_folder, replacing, unwritable, write_file
from mhealth.core._recording import Gap, Recording
from mhealth.core._spans import BREATH_PHASES, ECG_WAVES, UNUSABLE, Spans
from mhealth.core._streams import check_chunk, check_flush, new_state

__all__ = [
    "BREATH_PHASES",
    "ECG_WAVES",
    "UNUSABLE",
    "Annotation",
    "Candidates",
    "Gap",
    "Recording",
    "Spans",
    "channel_keys",
    "check_channels",
    "check_chunk",
    "check_flush",
    "check_fs",
    "check_signals",
    "make_folder",
    "new_state",
    "replacing",
    "unwritable",
    "write_file",
]
