"""Structures, networks and rules that label waves, on the same folds."""
