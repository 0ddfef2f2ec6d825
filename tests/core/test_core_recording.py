from datetime import datetime

import numpy as np
import pytest

from mhealth.core import Gap, Recording, channel_keys
from mhealth.errors import InvalidParameterError, InvalidSignalError


@pytest.fixture
def recording():
    signals = np.arange(30.0).reshape(10, 3)
    signals[4:6] = np.nan
    return Recording(
        signals=signals, fs=5, channels=["ECG", "ECG", "RESP"], units=["mV", "mV", ""], gaps=[(4, 6)],
        start=datetime(2024, 2, 29), name="r",
    )  # fmt: skip


def test_what_is_handed_in_becomes_float32_and_tuples(recording):
    assert recording.signals.dtype == np.float32
    assert recording.channels == ("ECG", "ECG", "RESP")
    assert recording.gaps == (Gap(4, 6),)
    assert (recording.n_samples, recording.duration) == (10, 2.0)


def test_one_channel_may_be_a_plain_array():
    assert Recording(signals=[1, 2], fs=1, channels=("a",)).signals.shape == (2, 1)


def test_channels_that_share_a_name_are_told_apart_by_position(recording):
    assert recording.keys == channel_keys(["ECG", "ECG", "RESP"]) == ("0", "1", "RESP")
    assert channel_keys([]) == ()


def test_picked_channels_keep_what_told_them_apart(recording):
    picked = recording.pick([2, 1])
    assert picked.channels == ("RESP", "1")
    assert picked.units == ("", "mV")
    assert np.array_equal(picked.signals, recording.signals[:, [2, 1]], equal_nan=True)


def test_a_slice_moves_and_cuts_the_gaps(recording):
    assert recording.slice(5, 8).gaps == (Gap(0, 1),)
    assert recording.slice(6, 99).gaps == ()
    assert recording.slice(6, 99).n_samples == 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fs": 0}, "fs=0 must be"),
        ({"fs": True}, "fs=True must be"),
        ({"fs": np.inf}, "fs=inf must be"),
        ({"channels": "abc"}, "one string"),
        ({"channels": ("a",)}, "expected 3 strings"),
        ({"units": ("mV",)}, "units="),
        ({"gaps": [(8, 11)]}, "gaps="),
        ({"signals": [["x"] * 3]}, "not numeric"),
        ({"signals": np.zeros((2, 2, 3))}, "shape"),
        ({"signals": [[0, 1e39, 0]]}, "sample 0, channel 1"),
    ],
)
def test_contradictions_are_named(wrong, message):
    good = {"signals": np.zeros((10, 3)), "fs": 5, "channels": ("a", "b", "c")}
    with pytest.raises((InvalidParameterError, InvalidSignalError), match=message):
        Recording(**good | wrong)
