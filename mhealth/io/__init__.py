"""Recordings from files, labelled spans to files."""

from mhealth.io._brackets import BEAT_SYMBOLS, WAVE_CLASSES, read_annotation, read_bracket_annotation
from mhealth.io._info import RecordingInfo
from mhealth.io._reading import blocks, open_recording, read_recording

__all__ = [
    "BEAT_SYMBOLS",
    "WAVE_CLASSES",
    "RecordingInfo",
    "blocks",
    "open_recording",
    "read_annotation",
    "read_bracket_annotation",
    "read_recording",
]
