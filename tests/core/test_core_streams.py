import numpy as np
import pytest

from mhealth.core import check_chunk, check_flush
from mhealth.errors import InvalidSignalError, StreamError

OPEN = {"n_channels": 1, "start": None, "position": 10, "ended": False}


def test_a_chunk_that_continues_its_stream_is_taken():
    assert check_chunk([1, 2], **OPEN | {"start": 10}).shape == (2, 1)
    assert check_chunk(np.empty((0, 3)), **OPEN | {"n_channels": 3}).shape == (0, 3)


@pytest.mark.parametrize(("start", "what"), [(12, "2 samples missing"), (9, "1 samples repeated")])
def test_a_chunk_from_elsewhere_is_refused(start, what):
    with pytest.raises(StreamError, match=f"starts at sample {start} but the stream is at 10: {what}"):
        check_chunk([1], **OPEN | {"start": start})


def test_a_chunk_of_other_channels_is_refused():
    with pytest.raises(InvalidSignalError, match="chunk has 2 channels; expected 1"):
        check_chunk(np.zeros((1, 2)), **OPEN)


def test_nothing_follows_the_end():
    with pytest.raises(StreamError, match=r"push\(\) after flush"):
        check_chunk([1], **OPEN | {"ended": True})
    with pytest.raises(StreamError, match=r"flush\(\) after flush"):
        check_flush(ended=True)
    check_flush(ended=False)
