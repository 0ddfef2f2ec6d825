"""Which channels of a recording are ECG leads, and which follow breathing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mhealth.core import Annotation, Recording, channel_keys
from mhealth.errors import AnnotationError, InvalidSignalError

__all__ = ["is_ecg_channel", "is_respiration_channel", "lead_columns", "shared_leads"]

_LEAD = re.compile(r"m?l?i{1,3}|mc?l\d|av[rlf]|m?v\d?r?|v[xyz]|c[bcmrs]\d?|d[1-4]")
"""Words of lead names: standard and right-sided, modified (MLII, MV2, MCL1, ML5), Frank, chest (CM5), QTDB's D3."""

_BETWEEN = re.compile(r"([lr][al]|[aeis]) ([lr][al]|[aeis])")
"""Leads between two electrodes: LA-RA, and those of EASI."""

_ECG = re.compile(r"(ecg|ekg)(\d+|[lr][al]|m?l?i{1,3}|av[rlf]|v\d)?|electrocardiogra.*|lead\d*")

_FROM_ECG = re.compile(r"hr|rr|ibi|rate|bpm|resp.*|edr|quality|sqi|temp.*|status|annotations?|events?")
"""What a device may derive from an ECG, or send beside it."""

_NEITHER = (
    r"pleth.*|ppg.*|puls.*|nibp|[ai]?bp|art|cvp|pap|icp|[se]p?[ao]?o2|etco2|hr|rr|.*rate|bpm|acc.*|gyr.*|mag.*|gsr|eda|"
    r"temp.*|snor.*|eeg.*|emg.*|eog.*|chin.*|loc|roc|leg.*|lat|rat|status|annotations?|events?|markers?|trigger"
)
"""What else is recorded beside an ECG and breathing, often in volts too, and what a monitor derives from them."""

_NO_ECG = re.compile(rf"{_NEITHER}|press.*")
_NO_BREATHS = re.compile(rf"{_NEITHER}|(ecg|ekg|electrocardiogra).*|edr|quality|sqi")

_BREATHS = re.compile(
    r"resp.*|rsp\d*|breath.*|rips?\d*|rib(cage)?|tho(r.*)?\d*|abd(o.*)?\d*|chest|belt\d*|(air)?flow.*|(oro)?nasal|"
    r"cannula|thermistor|(end)?co2|capno.*|pneumo.*|imp(ed.*)?"
)
"""Belts around rib cage and abdomen, flow and CO2 at nose and mouth, impedance of the chest."""

_EEG_ELECTRODE = re.compile(r"(fp|af|fc|ft|cp|tp|po|[fctpo])(z|\d{1,2})|[ame][12]")
"""Names of the 10-20 system, its references, and the eyes'."""

_VOLTS = re.compile(r"[mnuµμ]?v(olts?)?|(milli|micro|nano)volts?")
_OHMS = re.compile(r"[kmµμ]?(ohms?|[ωΩ])|(milli|kilo)ohms?")
_RATES = re.compile(r"b(r|rea)?pm|rpm|hz|(br|breaths?|resps?|cycles?|1)? ?/ ?min(ute)?|min-1|g|m/s\^?2|m/s²")
"""Units of what is counted by the minute, and of movement: no signal that rises and falls with each breath."""

_SAYS_NOTHING = {
    "",
    "adu",
    "au",
    "a.u.",
    "arb",
    "arbitrary",
    "count",
    "counts",
    "lsb",
    "n/a",
    "nan",
    "none",
    "raw",
    "unitless",
}


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
        is a voltage; never where the unit is that of something else. X, Y and Z are Frank's leads in volts only,
        else an accelerometer's axes.

    Examples
    --------
    >>> [is_ecg_channel(name) for name in ("MLII", "ECG I", "RESP", "PLETH")]
    [True, True, False, False]
    """
    unit = unit.strip().lower()
    is_voltage = _VOLTS.fullmatch(unit) is not None
    if not is_voltage and unit not in _SAYS_NOTHING:
        return False
    words = _words(name)
    if any(_ECG.fullmatch(word) for word in words):
        return not any(_FROM_ECG.fullmatch(word) for word in words)
    if any(_NO_ECG.fullmatch(word) or _BREATHS.fullmatch(word) for word in words):
        return False
    if words and (all(_LEAD.fullmatch(word) for word in words) or _BETWEEN.fullmatch(" ".join(words))):
        return True
    return is_voltage and not any(_EEG_ELECTRODE.fullmatch(word) for word in words)


def is_respiration_channel(name: str, unit: str = "") -> bool:
    """Tell from its name and unit whether a channel follows breathing.

    Parameters
    ----------
    name : str
        As the recording gives it.
    unit : str
        Physical unit, ``""`` where unknown.

    Returns
    -------
    is_respiration : bool
        True for names of belts, impedance, airflow and CO2 (RESP, Thorax, ABD, ``Flow``, ``Nasal pressure``), and for
        names that say nothing where the unit is one of impedance, among them BIDMC's ``pm``; never for what is derived
        from breathing (``Resp rate``, EtCO2), and no channel is an ECG lead too.

    Examples
    --------
    >>> [is_respiration_channel(name) for name in ("RESP", "Abdomen", "RespRate", "PLETH", "II")]
    [True, True, False, False, False]
    """
    unit = unit.strip().lower()
    words = _words(name)
    if _RATES.fullmatch(unit) or any(_NO_BREATHS.fullmatch(word) for word in words):
        return False
    if any(_BREATHS.fullmatch(word) for word in words):
        return True
    is_impedance = unit == "pm" or _OHMS.fullmatch(unit) is not None
    return is_impedance and not any(_LEAD.fullmatch(word) or _EEG_ELECTRODE.fullmatch(word) for word in words)


def shared_leads(recordings: Sequence[Recording], annotations: Sequence[Annotation]) -> tuple[str, ...]:
    """Return the leads that are annotated in every recording with marks, by name, in the order of the first.

    Raises
    ------
    AnnotationError
        If there is none.
    """
    marked = [
        [recording.keys[k] for k in sorted({int(channel) for channel in annotation.annotated[:, 0]})]
        for recording, annotation in zip(recordings, annotations, strict=True)
        if len(annotation.annotated)
    ]
    known = [{_key(name) for name in names} for names in marked]
    leads = tuple(name for name in (marked[0] if marked else ()) if all(_key(name) in names for names in known))
    if not leads:
        raise AnnotationError(
            "leads='early' learns leads that are annotated in all recordings, but no name is in each of "
            f"{sorted({tuple(names) for names in marked})}. Pick recordings and channels that share some, or use "
            "leads='fused'."
        )
    return leads


def lead_columns(leads: Sequence[str], channels: Sequence[str]) -> list[int]:
    """Return at which position among the channels of a recording each lead is, by name in any case.

    Raises
    ------
    InvalidSignalError
        If one is missing, or several channels have its name.
    """
    keys = [_key(name) for name in channel_keys(channels)]
    missing = [name for name in leads if _key(name) not in keys]
    if missing:
        raise InvalidSignalError(
            f"channels={tuple(channels)!r} lack {', '.join(missing)}: the model was trained on {', '.join(leads)} "
            "together and needs each of them, once. Give them, or use a model for any leads, with leads='fused'."
        )
    return [keys.index(_key(name)) for name in leads]


def _key(name: str) -> str:
    return name.strip().casefold()


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
