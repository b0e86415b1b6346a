"""Which sample stands at which place of the endless stream: a permutation per epoch, without memory or state.

Three orders: one sample after the other; consecutive pieces of a sample, where stages read sequences of several
lengths; and lanes, where a recurrent model carries its state from step to step.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["lane_index", "piece_index", "sample_index"]

_MASK = 2**64 - 1
_ROUNDS = 8  # four would make a pseudorandom permutation (Luby & Rackoff 1988); small domains want more
_GOLDEN = 0x9E3779B97F4A7C15


def sample_index(*, seed: int, position: int, num_samples: int) -> int:
    """Index of the sample, 0 to num_samples - 1, at a place of the stream of all epochs (a number of samples).

    Every epoch is its own permutation of the data; a function of (seed, epoch, place) only, hence the same on any
    number of ranks and after any resume.
    Source: Feistel network with cycle walking, Black & Rogaway 2002, "Ciphers with arbitrary finite domains".
    """
    epoch, place = divmod(position, num_samples)
    bits = max(1, (num_samples - 1).bit_length())
    keys = _round_keys(seed, epoch)
    place = _permute(value=place, bits=bits, keys=keys)
    while place >= num_samples:  # the domain is below twice num_samples: two walks on average at most
        place = _permute(value=place, bits=bits, keys=keys)
    return place


def piece_index(*, seed: int, tokens_before: int, length: int, longest: int, num_chunks: int) -> int:
    """Number of the sequence of `length` tokens that begins at a place of the stream (tokens), 0 for the data's first.

    The stream is permuted in chunks of the `longest` length; a shorter length reads a chunk as consecutive sequences.
    length divides longest and tokens_before. num_chunks: whole chunks of the data.
    """
    chunk, inside = divmod(tokens_before, longest)
    number = sample_index(seed=seed, position=chunk, num_samples=num_chunks)
    return number * (longest // length) + inside // length


def lane_index(*, position: int, global_batch_size: int, num_samples: int) -> int:
    """Index of the sample at a place of the stream (a number of samples) where each slot of a step reads on by itself.

    Slot i of the global batch reads the i-th of global_batch_size equal stretches of the data from start to end, one
    sample per step; what is left over beyond them is never read.
    """
    steps = num_samples // global_batch_size
    step, slot = divmod(position, global_batch_size)
    return slot * steps + step % steps


def _permute(*, value: int, bits: int, keys: tuple[int, ...]) -> int:
    """A permutation of 0 to 2**bits - 1: each round alters one half by a function of the other."""
    low_bits = bits // 2
    low_mask, high_mask = (1 << low_bits) - 1, (1 << (bits - low_bits)) - 1
    high, low = value >> low_bits, value & low_mask
    for number, key in enumerate(keys):
        if number % 2:
            low ^= _mix(high + key) & low_mask
        else:
            high ^= _mix(low + key) & high_mask
    return high << low_bits | low


@lru_cache(maxsize=64)
def _round_keys(seed: int, epoch: int) -> tuple[int, ...]:
    state = _mix(_mix(seed + _GOLDEN) ^ (epoch * _GOLDEN & _MASK))
    return tuple(_mix(state + number * _GOLDEN) for number in range(1, _ROUNDS + 1))


def _mix(value: int) -> int:
    """64 well-mixed bits of a number.

    Source: the finalizer of SplitMix64, Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
    """
    value &= _MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31
