"""A real ClickHouse server for tests: started on free ports in a directory of its own, killable and restartable.

Owns finding the server (PATH, else Debian's package), its minimal configuration and its process. Refuses to know what
the tests store in it. ``CROSSMARGIN_TEST_CLICKHOUSE`` names a server that already runs; that one is never stopped.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import Error as DriverError

from tests.servers import ServerUnavailable

_START_DEADLINE_S = 60.0

_CONFIG = """<?xml version="1.0"?>
<yandex>
  <logger><level>warning</level><log>{root}/server.log</log><errorlog>{root}/server.err</errorlog>
    <size>50M</size><count>1</count></logger>
  <listen_host>127.0.0.1</listen_host>
  <tcp_port>{tcp_port}</tcp_port>
  <http_port>{http_port}</http_port>
  <interserver_http_port>{interserver_port}</interserver_http_port>
  <max_concurrent_queries>50</max_concurrent_queries>
  <mark_cache_size>67108864</mark_cache_size>
  <path>{root}/data/</path>
  <tmp_path>{root}/tmp/</tmp_path>
  <user_files_path>{root}/user_files/</user_files_path>
  <format_schema_path>{root}/format_schemas/</format_schema_path>
  <users_config>{root}/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <timezone>UTC</timezone>
</yandex>
"""

_USERS = """<?xml version="1.0"?>
<yandex>
  <profiles>
    <default><max_memory_usage>1000000000</max_memory_usage></default>
    <analyst><readonly>1</readonly></analyst>
  </profiles>
  <users>
    <default><password></password><networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile><quota>default</quota></default>
    <analyst><password>analyst</password><networks><ip>127.0.0.1</ip></networks>
      <profile>analyst</profile><quota>default</quota></analyst>
  </users>
  <quotas><default><interval><duration>3600</duration><queries>0</queries><errors>0</errors><result_rows>0</result_rows>
    <read_rows>0</read_rows><execution_time>0</execution_time></interval></default></quotas>
</yandex>
"""


class ClickHouseProcess:
    """One server process over ``root``; its data outlive ``kill`` and ``stop``."""

    def __init__(self, binary: str, root: Path) -> None:
        self._binary = binary
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self.port, http_port, interserver_port = _free_ports(3)
        for name in ("data", "tmp", "user_files", "format_schemas"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "users.xml").write_text(_USERS, encoding="utf-8")
        (root / "config.xml").write_text(
            _CONFIG.format(root=root, tcp_port=self.port, http_port=http_port, interserver_port=interserver_port),
            encoding="utf-8",
        )

    def url(self, database: str = "default", user: str = "default", password: str = "") -> str:
        """The server's address as the audit store wants it."""
        return f"clickhouse://{user}:{password}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """The process's id; raises ``ServerUnavailable`` unless it was started."""
        if self._process is None:
            raise ServerUnavailable("the server was not started")
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until it answers; raises ``ServerUnavailable`` with the server's last words."""
        command = [self._binary, f"--config-file={self._root}/config.xml"]
        if Path(self._binary).name == "clickhouse":
            command.insert(1, "server")
        with (self._root / "stdout.log").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, cwd=self._root)
        deadline = time.monotonic() + _START_DEADLINE_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if _answers(self.port):
                return
            time.sleep(0.05)
        self.kill()
        raise ServerUnavailable(f"clickhouse-server did not start: {self._last_words()}")

    def stop(self) -> None:
        """Ask the server to finish and wait for it."""
        self._signal(signal.SIGTERM)
        self._wait()

    def kill(self) -> None:
        """End the server at once, in the middle of whatever it does."""
        self._signal(signal.SIGKILL)
        self._wait()

    def pause(self) -> None:
        """Freeze the server: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo ``pause``."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop when running, then start over the same data and port."""
        if self._process is not None:
            self.stop()
        self.start()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _wait(self) -> None:
        if self._process is not None:
            self._process.wait(timeout=30)
            self._process = None

    def _last_words(self) -> str:
        logs = [self._root / "server.err", self._root / "stdout.log"]
        return " | ".join(log.read_text(encoding="utf-8", errors="replace")[-500:] for log in logs if log.exists())


class RunningClickHouse:
    """A server named by ``CROSSMARGIN_TEST_CLICKHOUSE``; tests use it and never stop it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, database: str = "default", user: str = "", password: str = "") -> str:
        """The server's address with another database."""
        del user, password
        return f"{self._url.rsplit('/', 1)[0]}/{database}"


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess | RunningClickHouse]:
    """One server for the whole test session; every test makes a database of its own with ``fresh_database``."""
    if url := os.environ.get("CROSSMARGIN_TEST_CLICKHOUSE"):
        yield RunningClickHouse(url)
        return
    server = launch(tmp_path_factory.mktemp("clickhouse"))
    yield server
    server.kill()


@pytest.fixture
def own_clickhouse(tmp_path: Path) -> Iterator[ClickHouseProcess]:
    """A server of the test's own, for tests that stop, kill or freeze it."""
    server = launch(tmp_path / "clickhouse")
    yield server
    server.resume()
    server.kill()


def find_server() -> str:
    """The server's binary, installed from Debian when this process may; raises ``ServerUnavailable``."""
    if binary := _on_path():
        return binary
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([apt, "install", "-y", "clickhouse-server"], env=environment, capture_output=True, check=False)
        if binary := _on_path():
            return binary
    raise ServerUnavailable(
        "no clickhouse-server: run `apt-get install clickhouse-server`, or name a running server "
        "in CROSSMARGIN_TEST_CLICKHOUSE (clickhouse://user:password@host:9000/default)"
    )


def launch(root: Path) -> ClickHouseProcess:
    """Start a server over ``root``; raises ``ServerUnavailable``."""
    server = ClickHouseProcess(find_server(), root)
    server.start()
    return server


def fresh_database(server: ClickHouseProcess | RunningClickHouse) -> str:
    """Create an empty database and return its URL, so that tests share a server and nothing else."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with Client.from_url(server.url()) as client:
        client.execute(f"CREATE DATABASE {name}")
    return server.url(name)


def _on_path() -> str | None:
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("clickhouse-server", path=search) or shutil.which("clickhouse", path=search)


def _answers(port: int) -> bool:
    try:
        # A plain connection first: the driver logs a stack trace for every refusal.
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            pass
        with Client("127.0.0.1", port=port, connect_timeout=1, send_receive_timeout=2) as client:
            return bool(client.execute("SELECT 1") == [(1,)])
    except (DriverError, OSError, EOFError):
        return False


def _free_ports(count: int) -> list[int]:
    holders = [socket.socket() for _ in range(count)]
    try:
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [int(holder.getsockname()[1]) for holder in holders]
    finally:
        for holder in holders:
            holder.close()
