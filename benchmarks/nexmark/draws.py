"""Random numbers for a batch of events, each a pure function of the seed, the event and which draw it is."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.int64]

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 1 << 64


class Draws:
    """One random number for each event at every call. The n-th call gives an event the same whatever batch it is in.

    >>> import numpy as np
    >>> one, all = Draws(7, np.array([41])), Draws(7, np.arange(100))
    >>> one.below(1000)[0] == all.below(1000)[41], one.unit()[0] == all.unit()[41]
    (np.True_, np.True_)
    """

    def __init__(self, seed: int, events: Numbers) -> None:
        self._base = _mixed(events.astype(np.uint64) + np.uint64(seed * _GOLDEN % _WORD))
        self._calls = 0

    def below(self, bound: int | Numbers) -> Numbers:
        """From 0 up to `bound`, at most 2**32, which is not in it."""
        wide = (self._bits() >> np.uint64(32)) * np.asarray(bound, np.uint64)
        return (wide >> np.uint64(32)).astype(np.int64)

    def unit(self) -> NDArray[np.float64]:
        """From 0 up to 1, which is not in it."""
        return (self._bits() >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def _bits(self) -> NDArray[np.uint64]:
        self._calls += 1
        return _mixed(self._base + np.uint64(self._calls * _GOLDEN % _WORD))


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of a word spread over all of it: the finalizer of SplitMix64."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
