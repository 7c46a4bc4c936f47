"""What a socket still has to be sent, and the frames that are written at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from django_datastore.appsync_local.realtime import Close
from django_datastore.appsync_local.sockets.send_queue import MAX_BYTES, SendQueue
from django_datastore.appsync_local.sockets.web_socket import text_frame


class Line:
    """A socket that takes messages at once, or in their turn, or not at all."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.at_once = 0
        """How many it takes at once."""
        self.is_open = asyncio.Event()
        self.is_open.set()

    def write(self, parts: tuple[bytes, ...]) -> bool:
        if not self.at_once:
            return False
        self.at_once -= 1
        self.got.append(b"".join(parts).decode())
        return True

    async def send(self, message: dict[str, Any]) -> None:
        await self.is_open.wait()
        self.got.append(message.get("text", message.get("code")))


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_the_line_takes_is_written_at_once():
    line = Line()
    queue = SendQueue(line.send, line.write)
    line.at_once = 2
    queue.write(b"a", b"b")
    queue.write(b"c")
    assert line.got == ["ab", "c"]
    assert len(queue) == 0


async def test_nothing_overtakes_what_waits():
    line = Line()
    queue = SendQueue(line.send, line.write)
    queue.write(b"1")  # the line is busy just now
    line.at_once = 99
    queue.write(b"2")
    task = asyncio.create_task(queue.run())
    line.is_open.clear()
    await settle()  # the first is on its way, and not there yet
    queue.write(b"3")
    line.is_open.set()
    await queue.empty()
    queue.put(b"4")
    queue.write(b"5")
    await queue.empty()
    queue.write(b"6")
    assert line.got == ["1", "2", "3", "4", "5", "6"]
    assert line.at_once == 98
    task.cancel()


async def test_close_comes_behind_all_messages_and_ends_it():
    line = Line()
    queue = SendQueue(line.send)
    queue.put(b"1")
    queue.close(Close(1001))
    queue.put(b"2")
    queue.close(Close(1000))
    await queue.run()
    assert line.got == ["1", 1001]


async def test_client_is_too_far_behind_by_bytes_too():
    queue = SendQueue(Line().send)
    queue.put(b"x" * MAX_BYTES)
    assert not queue.is_overfull
    queue.put(b"x")
    assert queue.is_overfull


@given(st.lists(st.text(max_size=200).map(str.encode), max_size=4), st.sampled_from([0, 1, 125, 126, 65_535, 65_536]))
def test_frame_is_what_websockets_would_write(parts: list[bytes], more: int):
    parts.append(b"x" * more)
    expected = Frame(Opcode.TEXT, b"".join(parts)).serialize(mask=False)
    assert text_frame(tuple(parts)) == expected


@pytest.mark.parametrize("length", [124, 125, 126, 127, 65_535, 65_536, 70_000])
def test_frame_of_each_length(length: int):
    assert text_frame((b"x" * length,)) == Frame(Opcode.TEXT, b"x" * length).serialize(mask=False)
