"""Integers of 2 to 8 bits without gaps between them.

Integer i takes the bits i·b to i·b + b - 1 of a stream in which bit k is bit k mod 8, counted
from the least significant, of byte k div 8. Negative integers are in two's complement of b bits,
and the last byte is filled up with zeros. At 4 and 8 bits that is how ONNX lays out its 4-bit and
8-bit integers.
"""

import numpy as np
from numpy.typing import NDArray

# Eight integers of b bits fill b bytes, whatever b is, and fit one 64-bit word.
_GROUP = 8


def packed_size(count: int, bits: int) -> int:
    """Return how many bytes some integers take.

    Args:
        count: How many integers.
        bits: Their width.
    """
    return -(-count * bits // 8)


def pack_integers(integers: NDArray[np.int16], bits: int) -> NDArray[np.uint8]:
    """Pack integers.

    Args:
        integers: Of any shape, read in row-major order; each fits `bits` bits, with or without
            a sign.
        bits: 2 to 8.

    Returns:
        uint8 (ceil(count * bits / 8),).
    """
    flat = integers.reshape(-1)
    codes = np.zeros((-(-flat.size // _GROUP), _GROUP), dtype=np.uint8)
    codes.reshape(-1)[: flat.size] = flat & ((1 << bits) - 1)
    words = np.zeros(len(codes), dtype="<u8")
    for place in range(_GROUP):
        words |= codes[:, place].astype("<u8") << np.uint64(bits * place)
    filled = words.view(np.uint8).reshape(-1, 8)[:, :bits].reshape(-1)
    return filled[: packed_size(flat.size, bits)].copy()


def unpack_integers(
    packed: NDArray[np.uint8], bits: int, count: int, *, signed: bool
) -> NDArray[np.int16]:
    """Unpack what `pack_integers` has packed.

    Args:
        packed: uint8 (ceil(count * bits / 8),).
        bits: 2 to 8.
        count: How many integers there are.
        signed: Whether they have a sign.

    Returns:
        int16 (count,).
    """
    groups = -(-count // _GROUP)
    filled = np.zeros(groups * bits, dtype=np.uint8)
    filled[: packed.size] = packed
    content = np.zeros((groups, 8), dtype=np.uint8)
    content[:, :bits] = filled.reshape(groups, bits)
    words = content.view("<u8").reshape(-1)
    codes = np.empty((groups, _GROUP), dtype=np.int16)
    for place in range(_GROUP):
        codes[:, place] = (words >> np.uint64(bits * place)) & np.uint64((1 << bits) - 1)
    flat = codes.reshape(-1)[:count]
    if signed:
        sign = np.int16(1 << (bits - 1))
        flat = (flat ^ sign) - sign
    return flat
