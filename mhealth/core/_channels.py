"""What results call the channels of a recording."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["channel_keys"]


def channel_keys(names: Sequence[str]) -> tuple[str, ...]:
    """Return what tells channels apart: their name, or their position where the name repeats.

    Parameters
    ----------
    names : sequence of str
        Names of all channels of a recording.

    Returns
    -------
    keys : tuple of str
        One for each channel.

    Examples
    --------
    >>> channel_keys(["ECG", "ECG", "RESP"])
    ('0', '1', 'RESP')
    """
    names = list(names)
    return tuple(name if names.count(name) == 1 else str(position) for position, name in enumerate(names))
