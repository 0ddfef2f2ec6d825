"""Codes of the signal as input to a far-off target: rhythm and diagnosis."""
