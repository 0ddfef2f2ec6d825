import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_cases import lead

from mhealth.errors import InvalidParameterError, InvalidSignalError, StreamError
from mhealth.nn import NetworkInput


@given(cuts=st.lists(st.integers(0, 900), max_size=12))
def test_inputs_do_not_depend_on_how_a_lead_is_cut_into_chunks(cuts):
    samples = lead(900)
    stream = NetworkInput().open(fs=250.0)
    parts = [stream.push(part) for part in np.split(samples, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()]), NetworkInput().prepare(samples, fs=250.0))


def test_gain_to_the_bit_and_offset_but_for_rounding_do_not_matter():
    samples = lead(1500)
    plain = NetworkInput().prepare(samples, fs=250.0)
    np.testing.assert_array_equal(NetworkInput().prepare(1024 * samples, fs=250.0), plain)
    # float32 samples at 5 are rounded to 5e-7, a knee is about 0.1: parts in 1e5 of an input.
    np.testing.assert_allclose(NetworkInput().prepare(samples + 5, fs=250.0), plain, atol=1e-4)


def test_inputs_are_bounded_whatever_comes():
    samples = lead(1500)
    samples[700:720] = 1e6
    inputs = NetworkInput().prepare(samples, fs=250.0)
    assert np.abs(inputs[:, :2]).max() < 1
    assert (inputs[:, 2] == 1).all()


def test_a_flat_lead_gives_zeros():
    assert not NetworkInput().prepare(np.full(1000, 3.0), fs=250.0)[:, :2].any()


def test_inputs_are_complete_as_far_ahead_as_is_said():
    settings = NetworkInput()
    stream = settings.open(fs=250.0)
    samples = lead(2000)
    n_start = round((settings.scale.window + 0.01) * 250)
    n = len(stream.push(samples[:n_start]))
    assert n >= n_start - settings.scale.ahead * 250 - 1
    for sample in samples[n_start:]:
        n += len(stream.push([sample]))
        assert n >= stream.position - settings.scale.ahead * 250 - 1


def test_a_lead_starts_where_its_first_sample_is():
    inputs = NetworkInput().prepare(100.0 + lead(1000), fs=250.0)
    assert np.abs(inputs[0, :2]).max() == 0


def test_missing_samples_and_samples_after_the_end_are_refused():
    stream = NetworkInput().open(fs=250.0)
    with pytest.raises(InvalidSignalError, match="missing samples"):
        stream.push([0.0, np.nan])
    stream.flush()
    with pytest.raises(StreamError):
        stream.push([0.0])


@pytest.mark.parametrize("name", ["cutoff", "knee", "slope_knee"])
def test_settings_must_be_positive(name):
    with pytest.raises(InvalidParameterError, match=name):
        NetworkInput(**{name: 0.0})
