"""Experiments on public recordings, one command each: ``python -m experiments list``."""
