"""Leads that look like an ECG, and tiny networks."""

import numpy as np

from mhealth.nn import NetworkExample, NetworkInput


def lead(n: int, seed: int = 0) -> np.ndarray:
    """Return a spike every 200 samples, a slower bump behind it, drift and noise; float32."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    phase = (t + rng.integers(200)) % 200
    waves = np.exp(-(((phase - 100) / 3) ** 2)) + 0.3 * np.exp(-(((phase - 150) / 12) ** 2))
    return (waves + 0.2 * np.sin(t / 300) + 0.02 * rng.standard_normal(n)).astype(np.float32)


def examples(count: int, *, n: int = 640) -> list[NetworkExample]:
    """Return leads with their spikes marked as class 2."""
    found = []
    for seed in range(count):
        samples = lead(n, seed)
        classes = np.where(samples > 0.6, 2, 0).astype(np.int8)
        known = np.ones(n, bool)
        known[:50] = False
        found.append(NetworkExample(NetworkInput().prepare(samples, fs=250.0), classes, known))
    return found
