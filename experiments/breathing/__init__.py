"""Breaths out of fold, beside two people, a rule and NeuroKit2."""
