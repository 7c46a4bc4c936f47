"""The line between the site and AppSync: a TCP proxy that can be cut and mended.

    python -m testproject.demo.line LISTEN TARGET CONTROL      (each HOST:PORT)

On CONTROL it understands one word a line, `cut`, `mend` or `status`, and answers with `up` or `cut`. Cutting resets
every live connection and refuses new ones, as a closed port does.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys


class Line:
    """Carries bytes from a listening address to a target, or does not."""

    def __init__(self, listen: tuple[str, int], target: tuple[str, int]) -> None:
        self.listen = listen
        self.target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        # Bound, never listening: while the line is cut nobody else gets the port, and connecting is refused.
        self._placeholder = _bind(listen)

    @property
    def state(self) -> str:
        """`up` or `cut`."""
        return "up" if self._server else "cut"

    async def mend(self) -> None:
        """Accepts connections again."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, sock=_bind(self.listen))

    async def cut(self) -> None:
        """Resets every connection and refuses new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def command(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one control connection."""
        with contextlib.suppress(ConnectionError):
            while word := (await reader.readline()).decode().strip():
                match word:
                    case "cut":
                        await self.cut()
                    case "mend":
                        await self.mend()
                writer.write(f"{self.state}\n".encode())
                await writer.drain()
        writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        if self._server is None:  # cut while we were connecting
            await self.cut()
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies bytes until the sender has no more, then passes that on."""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()


def _bind(address: tuple[str, int]) -> socket.socket:
    """A socket on that port that shares it with its own kind; only one that listens gets connections."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(address)
    return bound


def tell(control: str, word: str, *, timeout_seconds: float = 3) -> str:
    """Sends one word to the control address `HOST:PORT` and returns the line's state, `up` or `cut`."""
    with socket.create_connection(_address(control), timeout=timeout_seconds) as connection:
        connection.sendall(f"{word}\n".encode())
        return connection.makefile().readline().strip()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


async def main(listen: str, target: str, control: str) -> None:
    """Runs until SIGTERM or SIGINT."""
    line = Line(_address(listen), _address(target))
    await line.mend()
    server = await asyncio.start_server(line.command, *_address(control))
    print(f"{listen} carries to {target}; control on {control}", flush=True)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await line.cut()
    server.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
