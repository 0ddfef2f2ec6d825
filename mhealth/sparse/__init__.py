"""Windows around candidates, and their sparse codes over learned dictionaries."""

from mhealth.sparse._dictionary import Dictionary
from mhealth.sparse._encoder import SparseEncoder
from mhealth.sparse._learning import learn_dictionary
from mhealth.sparse._omp import SparseCodes, omp
from mhealth.sparse._windows import Window, extract_windows

__all__ = ["Dictionary", "SparseCodes", "SparseEncoder", "Window", "extract_windows", "learn_dictionary", "omp"]
