"""Recordings from files, labelled spans to files."""

from mhealth.io._annotation_file import read_annotation
from mhealth.io._brackets import BEAT_SYMBOLS, read_bracket_annotation
from mhealth.io._info import RecordingInfo
from mhealth.io._reading import blocks, open_recording, read_recording
from mhealth.io._writing import SpanWriter, read_spans, write_spans

__all__ = [
    "BEAT_SYMBOLS",
    "RecordingInfo",
    "SpanWriter",
    "blocks",
    "open_recording",
    "read_annotation",
    "read_bracket_annotation",
    "read_recording",
    "read_spans",
    "write_spans",
]
