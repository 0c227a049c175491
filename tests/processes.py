"""The service as its users meet it: processes, started, loaded and killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`journey api` on a port, in a process group of its own."""

    def __init__(self, environment: Mapping[str, str], *, port: int, workers: int = 1) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "journey_service.cli",
                "api",
                "--port",
                str(port),
                "--workers",
                str(workers),
            ],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def await_ready(self, seconds: float = 60) -> "Server":
        """Wait until requests are answered."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return self
            except httpx.HTTPError:
                time.sleep(0.05)
            if self._process.poll() is not None:
                raise RuntimeError(f"the server has ended with status {self._process.returncode}")
        raise TimeoutError("the server is not ready")

    def kill(self) -> None:
        """kill -9, the whole group."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it the friendly way."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def running(environment: Mapping[str, str], *, workers: int = 1) -> Iterator[Server]:
    """A server for the length of a block."""
    server = Server(environment, port=free_port(), workers=workers)
    try:
        yield server.await_ready()
    finally:
        server.stop()
