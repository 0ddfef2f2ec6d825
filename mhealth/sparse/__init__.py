"""Windows around candidates, and their sparse codes over learned dictionaries."""

from mhealth.sparse._dictionary import Dictionary
from mhealth.sparse._omp import SparseCodes, omp
from mhealth.sparse._windows import Window, extract_windows

__all__ = ["Dictionary", "SparseCodes", "Window", "extract_windows", "omp"]
