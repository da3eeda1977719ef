"""The embedded Kafka broker of the demonstration: one process, one fresh directory, one free port.

Owns finding, starting and reaching it. It speaks Kafka's protocol well enough for one worker of each role and loses
nothing while it runs; it is not a broker to keep data in.
"""

from __future__ import annotations

import os
import socket
import time
from importlib.resources import files
from pathlib import Path

from streams.demo.processes import Child, DemoFailed

HOST = "127.0.0.1"
START_SECONDS_MAX = 15.0


def start_broker(directory: Path, log: Path) -> tuple[Child, str]:
    """Start a broker over ``directory`` (made, must be empty); returns it and its address once it accepts clients."""
    directory.mkdir(parents=True)
    _forget_everything(directory)
    port = _free_port()
    command = [str(_executable()), "start", "--data-dir", str(directory), "--only", "kafka", "--kafka-port", str(port)]
    # It has nothing to save, and would wait for its own pipe.
    broker = Child("embedded broker", command, log, os.environ, stop_seconds=0.2)
    deadline = time.monotonic() + START_SECONDS_MAX
    while not _accepts(port):
        try:
            broker.check()
            if time.monotonic() > deadline:
                raise DemoFailed(f"the embedded broker does not answer on port {port}; see {log}")
        except DemoFailed:
            broker.stop()
            raise
        time.sleep(0.05)
    return broker, f"{HOST}:{port}"


def _forget_everything(directory: Path) -> None:
    """Keep the broker from saving its state. It would write its whole log anew every second, which takes most of a
    core by the end of a run; a pipe that nobody reads in the place of its scratch file lets that one thread wait."""
    if hasattr(os, "mkfifo"):
        os.mkfifo(directory / "kafka.tmp")


def _executable() -> Path:
    """The broker's own binary: the launcher beside it would not pass signals on."""
    binary = Path(str(files("noida_db").joinpath("noida-db")))
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)
    return binary


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
