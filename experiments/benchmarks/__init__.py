"""Benchmarks in the form that asv runs; `speed` runs them side by side and prints ratios."""
