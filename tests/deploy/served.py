"""NATS servers that run the very configurations of `deploy/nats`, on ports that are free here."""

import asyncio
import os
import re
from pathlib import Path
from typing import Self

from bus.server import free_port, server_binary

FOLDER = Path(__file__).resolve().parents[2] / "deploy/nats"
_PORT = re.compile(r'(listen|http): "(?:0\.0\.0\.0|127\.0\.0\.1):(\d+)"')


class Served:
    """A server with a configuration of ours. Only its ports are others, by the port in the file; use as an async context manager."""

    def __init__(
        self, name: str, folder: Path, *, without: str = "", users: str = "", **variables: str
    ) -> None:
        self.ports: dict[int, int] = {}
        self.variables = variables
        self._file = folder / f"{variables.get('NATS_NAME', 'leaf')}.conf"
        text = (FOLDER / name).read_text()
        if without:  # a block that this test has no use for, up to the empty line behind it
            text = re.sub(rf"^{without} {{\n.*?\n}}\n", "", text, flags=re.MULTILINE | re.DOTALL)
        self._file.write_text(_PORT.sub(self._elsewhere, text))
        (folder / "users.conf").write_text(users)
        self._process: asyncio.subprocess.Process | None = None

    def _elsewhere(self, found: re.Match[str]) -> str:
        port = self.ports.setdefault(int(found[2]), free_port())
        return f'{found[1]}: "127.0.0.1:{port}"'

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.ports[4222]}"

    async def __aenter__(self) -> Self:
        """Start it; whoever connects waits until it is there."""
        self._process = await asyncio.create_subprocess_exec(
            str(server_binary()),
            "-c",
            str(self._file),
            "-l",
            str(self._file.with_suffix(".log")),
            env={**os.environ, **self.variables},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop it."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def healthy(self) -> None:
        """Wait until it says of itself that it serves."""
        async with asyncio.timeout(60):
            while True:
                assert self._process is not None
                assert self._process.returncode is None, self._file.with_suffix(".log").read_text()
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[8222])
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
                answer = await reader.read()
                writer.close()
                if b" 200 " in answer.partition(b"\r\n")[0]:
                    return
                await asyncio.sleep(0.05)
