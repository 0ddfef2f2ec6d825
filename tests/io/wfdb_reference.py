"""What the `wfdb` package says of an annotation file, for comparison."""

import warnings

from mhealth.io._wfdb_package import wfdb_package


def rdann(base, extension):
    """Return marks (sample, symbol, subtype)."""
    annotation = _annotation(base, extension)
    return list(zip(annotation.sample.tolist(), annotation.symbol, annotation.subtype.tolist(), strict=True))


def notes(base, extension):
    """Return the marks' notes."""
    return [note.rstrip("\0") for note in _annotation(base, extension).aux_note]


def _annotation(base, extension):
    wfdb = wfdb_package()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # wfdb calls pandas in a way that pandas 3 deprecates
        return wfdb.rdann(str(base), extension)
