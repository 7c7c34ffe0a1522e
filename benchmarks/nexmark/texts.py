"""Texts: names, addresses and padding, cut from two long random ones, and the channels that bids come through."""

from __future__ import annotations

from random import Random

import numpy as np

from benchmarks.nexmark.draws import Draws, Numbers

_CUTS = 1 << 16
_LONGEST = 1 << 10
_SHORTEST = 3

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"

CHANNELS = 10_000
HOT_CHANNELS = ("Google", "Facebook", "Baidu", "Apple")


def _random_text(chance: Random, length: int, blank: str) -> str:
    """Letters and, for one in thirteen, `blank`."""
    return "".join(chance.choice(_ALPHABET) if chance.randrange(13) else blank for _ in range(length))


_LETTERS = "".join(Random(1).choices(_ALPHABET, k=_CUTS + _LONGEST))
_WORDS = _random_text(Random(2), _CUTS + _LONGEST, " ")


def _cut(text: str, begins: Numbers, lengths: Numbers) -> list[str]:
    return [text[begin:end] for begin, end in zip(begins.tolist(), (begins + lengths).tolist(), strict=True)]


def words(draws: Draws, below: int) -> list[str]:
    """Letters and blanks, fewer than `below` of them."""
    lengths = _SHORTEST + draws.below(below - _SHORTEST)
    return [text.strip() for text in _cut(_WORDS, draws.below(_CUTS), lengths)]


def padding(draws: Draws, sizes: int | Numbers, mean: int) -> list[str]:
    """Letters that bring records of `sizes` bytes to `mean` on average, by a fifth of what lacks more or less."""
    lack = np.maximum(mean - np.asarray(sizes, np.int64), 0)
    spread = np.rint(lack * 0.2).astype(np.int64)
    begins = draws.below(_CUTS)
    return _cut(_LETTERS, begins, lack - spread + draws.below(2 * spread))


def _url(chance: Random) -> str:
    folders = "/".join(_random_text(chance, _SHORTEST + chance.randrange(2), "_") for _ in range(3))
    return f"https://www.nexmark.com/{folders}/item.htm?query=1"


def _channels() -> tuple[list[str], list[str]]:
    """Names and addresses: the hot ones, then the others, of which nine in ten say their number, its bits turned."""
    chance = Random(3)
    hot = [_url(chance) for _ in HOT_CHANNELS]
    others = [
        _url(chance) + (f"&channel_id={int(f'{number:032b}'[::-1], 2)}" if chance.randrange(10) else "")
        for number in range(CHANNELS)
    ]
    return [*HOT_CHANNELS, *(f"channel-{number}" for number in range(CHANNELS))], hot + others


_NAMES, _URLS = _channels()


def channels(draws: Draws) -> tuple[list[str], list[str]]:
    """Channels' names and addresses; every other one is hot."""
    is_hot = draws.below(2) > 0
    hot, other = draws.below(len(HOT_CHANNELS)), draws.below(CHANNELS)
    chosen = np.where(is_hot, hot, len(HOT_CHANNELS) + other).tolist()
    return [_NAMES[each] for each in chosen], [_URLS[each] for each in chosen]
