"""Accuracy against the number of labelled subjects, and what recordings without labels add."""
