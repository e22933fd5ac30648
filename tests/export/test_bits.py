import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gp_emq.export._bits import pack_integers, packed_size, unpack_integers


@st.composite
def integers_of_a_width(draw: st.DrawFn):
    bits, signed = draw(st.integers(2, 8)), draw(st.booleans())
    low = -(1 << (bits - 1)) if signed else 0
    values = draw(st.lists(st.integers(low, low + (1 << bits) - 1), max_size=70))
    return np.array(values, dtype=np.int16), bits, signed


@given(integers_of_a_width())
def test_what_is_packed_comes_back(given_integers) -> None:
    integers, bits, signed = given_integers
    packed = pack_integers(integers, bits)
    assert len(packed) == packed_size(len(integers), bits)
    back = unpack_integers(packed, bits, len(integers), signed=signed)
    assert back.dtype == np.int16
    np.testing.assert_array_equal(back, integers)


@given(integers_of_a_width())
def test_the_stream_has_the_least_significant_bits_first(given_integers) -> None:
    integers, bits, _ = given_integers
    # Numpy's own unpacking gives the bits of the stream, the unused ones at its end.
    stream = np.unpackbits(pack_integers(integers, bits), bitorder="little")
    used = stream[: len(integers) * bits].reshape(len(integers), bits)
    np.testing.assert_array_equal(used @ (1 << np.arange(bits)), integers % (1 << bits))
    assert not stream[len(integers) * bits :].any()


@pytest.mark.parametrize(
    ("integers", "bits", "packed"),
    [
        # Codes 01 11 10 00 and 01, from the right: 00101101 and 01.
        ([1, -1, -2, 0, 1], 2, [0b00_10_11_01, 0b01]),
        # Codes 011 100 111: from the right 11_100_011 and the 1 that is left.
        ([3, -4, -1], 3, [0b11_100_011, 0b1]),
        ([0x1, 0xA, 0xF], 4, [0xA1, 0x0F]),
        ([-1, -128, 127], 8, [0xFF, 0x80, 0x7F]),
        ([], 5, []),
    ],
)
def test_bytes_are_those_of_a_hand_calculation(integers, bits, packed) -> None:
    assert pack_integers(np.array(integers, dtype=np.int16), bits).tolist() == packed


def test_a_resnet50_is_packed_in_about_a_second() -> None:
    # 25.5 million weights; its largest layer has 2.4 million. Ten times slower still passes.
    layer = np.random.default_rng(0).integers(-4, 4, 2_359_296).astype(np.int16)
    start = time.process_time()
    packed = pack_integers(layer, 3)
    unpack_integers(packed, 3, layer.size, signed=True)
    assert time.process_time() - start < 2.0
