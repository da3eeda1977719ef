"""SipHash-2-4: a 64-bit digest of short messages, the same from Python and from compiled loops.

Owns the function. Source: J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), with the key of
its test vectors. The key is public: the digest tells repeats from conflicts among what one venue writes, it does not
keep out a forger. Refuses to say what is hashed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.compiled import allocation_free

DIGEST_BYTES = 8

_K0 = np.uint64(0x0706050403020100)
_K1 = np.uint64(0x0F0E0D0C0B0A0908)
_V0 = _K0 ^ np.uint64(0x736F6D6570736575)
_V1 = _K1 ^ np.uint64(0x646F72616E646F6D)
_V2 = _K0 ^ np.uint64(0x6C7967656E657261)
_V3 = _K1 ^ np.uint64(0x7465646279746573)
_FINAL = np.uint64(0xFF)

Lanes = tuple[np.uint64, np.uint64, np.uint64, np.uint64]


def siphash(message: bytes) -> bytes:
    """The 8-byte digest of ``message``, little endian as in the paper."""
    return int(digest(np.frombuffer(message, dtype=np.uint8), 0, len(message))).to_bytes(DIGEST_BYTES, "little")


@allocation_free
def digest(buffer: npt.NDArray[np.uint8], start: int, stop: int) -> np.uint64:
    """The digest of ``buffer[start:stop]`` as a number."""
    lanes = (_V0, _V1, _V2, _V3)
    size = stop - start
    whole = start + (size & ~7)
    for at in range(start, whole, 8):
        lanes = _absorb(lanes, _word(buffer, at, 8))
    last = _word(buffer, whole, size & 7) | (np.uint64(size & 0xFF) << np.uint64(56))
    v0, v1, v2, v3 = _absorb(lanes, last)
    lanes = (v0, v1, v2 ^ _FINAL, v3)
    for _ in range(4):
        lanes = _round(lanes)
    return lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3]


@allocation_free
def _word(buffer: npt.NDArray[np.uint8], at: int, size: int) -> np.uint64:
    """``size`` bytes, at most 8, as a little-endian number."""
    word = np.uint64(0)
    for place in range(size):
        word |= np.uint64(buffer[at + place]) << np.uint64(8 * place)
    return word


@allocation_free
def _absorb(lanes: Lanes, word: np.uint64) -> Lanes:
    v0, v1, v2, v3 = _round(_round((lanes[0], lanes[1], lanes[2], lanes[3] ^ word)))
    return v0 ^ word, v1, v2, v3


@allocation_free
def _round(lanes: Lanes) -> Lanes:
    v0, v1, v2, v3 = lanes
    v0 += v1
    v2 += v3
    v1 = _rotated(v1, 13) ^ v0
    v3 = _rotated(v3, 16) ^ v2
    v0 = _rotated(v0, 32)
    v2 += v1
    v0 += v3
    v1 = _rotated(v1, 17) ^ v2
    v3 = _rotated(v3, 21) ^ v0
    v2 = _rotated(v2, 32)
    return v0, v1, v2, v3


@allocation_free
def _rotated(word: np.uint64, bits: int) -> np.uint64:
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))
