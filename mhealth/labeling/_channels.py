"""Which channels of a recording are ECG leads."""

from __future__ import annotations

import re

__all__ = ["is_ecg_channel"]

_LEAD = re.compile(
    r"(ml|m)?(i{1,3}|v[1-9r]?|av[rlf]|cs?[1-5m]?|d[1-4]|mv2|v\dr|x|y|z|v[xyz])\d?",
)
"""Lead names of PhysioNet's ECG databases: standard, modified limb and chest, Frank, and QTDB's D3, CM5, V4-V5 …"""

_WORDS = re.compile(r"ecg|ekg|\blead\b|electrocard")
_OTHERS = re.compile(
    r"resp|pleth|ppg|abp|\bart\b|bp\b|cvp|pap|spo2|sao2|co2|eeg|emg|eog|acc|gyr|gsr|eda|temp|\bhr\b|pulse|flow|belt|rip"
)
_VOLTS = {"mv", "uv", "µv", "μv", "v", "nv"}


def is_ecg_channel(name: str, unit: str = "") -> bool:
    """Tell from its name and unit whether a channel is an ECG lead.

    Parameters
    ----------
    name : str
        As the recording gives it.
    unit : str
        Physical unit, ``""`` where unknown.

    Returns
    -------
    is_ecg : bool
        True for names of leads (II, MLII, V5, aVF, ``ECG lead 2``), and for names that say nothing where the unit
        is a voltage.

    Examples
    --------
    >>> [is_ecg_channel(name) for name in ("MLII", "ECG I", "RESP", "PLETH")]
    [True, True, False, False]
    """
    text = name.strip().lower()
    if _WORDS.search(text):
        return True
    if _OTHERS.search(text):
        return False
    if all(_LEAD.fullmatch(part) for part in re.split(r"[-_/ ]", text) if part) and text:
        return True
    return unit.strip().lower() in _VOLTS
