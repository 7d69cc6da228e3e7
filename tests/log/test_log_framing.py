"""Frames: what is taken for one, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.errors import ValueTooLargeError
from khepri.log import framing
from khepri.log.framing import HEADER_BYTES, FrameKind, decode_frame, decode_header, encode_frame

SALT = b"8 bytes!"


@given(st.binary(max_size=200), st.integers(0, 2**64 - 1), st.binary(max_size=20))
def test_a_frame_is_read_back_wherever_it_stands(
    payload: bytes, sequence: int, before: bytes
) -> None:
    data = memoryview(before + encode_frame(FrameKind.BATCH, sequence, SALT, payload) + b"rest")
    frame = decode_frame(data, len(before))
    assert frame is not None
    assert bytes(frame.payload) == payload
    assert (frame.kind, frame.sequence, frame.salt) == (FrameKind.BATCH, sequence, SALT)
    assert bytes(data[frame.end :]) == b"rest"


def test_every_flipped_bit_and_every_cut_is_seen() -> None:
    whole = encode_frame(FrameKind.BLOCK, 7, SALT, b"a payload")
    for offset in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[offset] ^= 1 << bit
            assert decode_frame(memoryview(damaged), 0) is None
        assert decode_frame(memoryview(whole[:offset]), 0) is None


@given(st.binary(max_size=300))
def test_garbage_is_no_frame(garbage: bytes) -> None:
    assert decode_frame(memoryview(garbage), 0) is None


def test_zeros_are_no_frame() -> None:
    assert decode_frame(memoryview(bytes(4096)), 0) is None


def test_a_length_beyond_the_file_is_refused_before_anything_is_read() -> None:
    """Case W02: a length is not believed."""
    whole = encode_frame(FrameKind.BATCH, 1, SALT, bytes(1000))
    header = decode_header(whole[:HEADER_BYTES])
    assert header is not None
    assert header.length == 1000
    assert decode_frame(memoryview(whole)[: HEADER_BYTES + 10], 0) is None


def test_w37_what_no_frame_can_carry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_PAYLOAD_BYTES", 10)
    encode_frame(FrameKind.BATCH, 1, SALT, bytes(10))
    with pytest.raises(ValueTooLargeError) as caught:
        encode_frame(FrameKind.BATCH, 1, SALT, bytes(11))
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (11, 10)
