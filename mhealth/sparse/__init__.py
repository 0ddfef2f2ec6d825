"""Windows around candidates, and their sparse codes over learned dictionaries."""

from mhealth.sparse._dictionary import Dictionary
from mhealth.sparse._omp import SparseCodes, omp

__all__ = ["Dictionary", "SparseCodes", "omp"]
