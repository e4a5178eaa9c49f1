"""Frames survive being cut anywhere, and bytes that are no frame are refused."""

import os
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.serving import wire

items = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=40), st.binary(max_size=200)), min_size=1, max_size=6
)


@given(st.lists(items, min_size=1, max_size=4), st.data())
def test_frames_come_out_whole_however_the_stream_is_cut(frames, data):
    stream = b"".join(b"".join(wire.encode(frame)) for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parser = wire.FrameParser()
    seen = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        seen += parser.feed(stream[start:end])
    assert seen == frames
    assert parser.feed(b"".join(wire.encode(frames[0]))) == [frames[0]], "nothing of an earlier frame is left"


@pytest.mark.parametrize(
    "stream",
    [
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        b"\1\0\0\0" + b"\0\0\0\0" + b"\xff\xff\xff\xff" + b"\0\0\0\0",
        b"\1\0\0\0" + b"\0\0\0\0" + b"\0\0\0\0" + b"\xff\xff\xff\xff",
    ],
)
def test_counts_and_lengths_past_the_limits_are_no_frame(stream):
    with pytest.raises(wire.BadFrame):
        wire.FrameParser().feed(stream)


@pytest.mark.parametrize("raw", [b"x", b"[]", b'{"a":1}', b"[" * 100_000])
def test_a_meta_is_an_object_of_strings(raw):
    with pytest.raises(wire.BadFrame):
        wire.decode_meta(raw)


def test_meta_round_trip():
    meta = {"content-type": "text/csv", "name": "äöü\n"}
    assert wire.decode_meta(wire.encode_meta(meta)) == meta
    assert wire.encode_meta({}) == b""
    assert wire.decode_meta(b"") == {}


def test_a_worker_answers_each_front_in_order_and_ends_when_told(tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "w"))
    listener.listen()
    stop_read, stop_write = os.pipe()

    def upper(asks):
        return [wire.Reply(200, ask.payload.upper(), ask.meta) for ask in asks]

    worker = threading.Thread(target=wire.serve, args=(listener, upper, stop_read))
    worker.start()
    fronts = []
    for _ in range(2):
        front = socket.socket(socket.AF_UNIX)
        front.connect(str(tmp_path / "w"))
        fronts.append((front, wire.FrameParser()))
    for front, parser in fronts:
        wire.send_frame(front, [(0, b"", b"one"), (0, b'{"a":"b"}', b"t" * 400_000)])
        answer = wire.receive_frame(front, parser)
        assert answer == [(200, b"", b"ONE"), (200, b'{"a":"b"}', b"T" * 400_000)]
    fronts[0][0].sendall(b"\0\0\0\0")
    assert fronts[0][0].recv(1) == b""
    wire.send_frame(fronts[1][0], [(0, b"", b"last")])
    os.write(stop_write, b"x")
    assert wire.receive_frame(*fronts[1]) == [(200, b"", b"LAST")]
    assert fronts[1][0].recv(1) == b""
    worker.join(5)
    assert not worker.is_alive()
    for front, _ in fronts:
        front.close()
    listener.close()
    os.close(stop_read)
    os.close(stop_write)
