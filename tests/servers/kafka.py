"""A real Apache Kafka broker for tests: KRaft combined mode, free ports, a log directory of its own, killable.

Owns fetching the jars (Maven Central, once, into a cache), the broker's configuration and its process. Refuses to know
what the tests produce. ``CROSSMARGIN_TEST_KAFKA=host:port`` names a broker that already runs; that one is never
stopped, and tests that must kill a broker are told so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

from tests.servers import ServerUnavailable

KAFKA_VERSION = "4.1.0"
_START_DEADLINE_S = 90.0

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>crossmargin</groupId><artifactId>broker</artifactId><version>1</version>
<dependencies><dependency>
  <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version>
</dependency></dependencies></project>
"""

_PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={log_dir}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
group.min.session.timeout.ms=500
log.cleaner.backoff.ms=500
"""


class KafkaBroker:
    """One broker process over ``root``; its data and its ports outlive ``kill`` and ``stop``."""

    def __init__(self, root: Path, *, heap_mb: int = 512) -> None:
        self._root = root
        self._heap_mb = heap_mb
        self._process: subprocess.Popen[bytes] | None = None
        self.port, controller_port = _free_ports(2)
        self._properties = root / "server.properties"
        root.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(
            _PROPERTIES.format(port=self.port, controller_port=controller_port, log_dir=root / "data"),
            encoding="utf-8",
        )

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def killable(self) -> bool:
        """Whether a test may stop this broker."""
        return True

    @property
    def pid(self) -> int:
        """The running process, for those who measure it."""
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until it answers; raises ``ServerUnavailable`` with the broker's last words."""
        if not (self._root / "data" / "meta.properties").exists():
            self._run_tool("kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(self._properties))
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._java(self._heap_mb), "kafka.Kafka", str(self._properties)],
                stdout=output,
                stderr=output,
                cwd=self._root,
            )
        deadline = time.monotonic() + _START_DEADLINE_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if _answers(self.bootstrap):
                return
            time.sleep(0.05)
        self.kill()
        raise ServerUnavailable(f"Kafka did not start: {self._last_words()}")

    def stop(self) -> None:
        """Ask the broker to finish and wait for it."""
        self._signal(signal.SIGTERM)
        self._wait()

    def kill(self) -> None:
        """End the broker at once, in the middle of whatever it does."""
        self._signal(signal.SIGKILL)
        self._wait()

    def pause(self) -> None:
        """Freeze the broker: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo ``pause``."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop when running, then start over the same data and ports."""
        if self._process is not None:
            self.stop()
        self.start()

    def __enter__(self) -> KafkaBroker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def _log(self) -> Path:
        return self._root / "broker.log"

    def _java(self, heap_mb: int) -> list[str]:
        jars = find_jars()
        # C1 only and the serial collector: a test broker shares two cores with what it tests.
        return [
            _java_binary(),
            f"-Xmx{heap_mb}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dlog4j2.level=WARN",
            "-cp",
            f"{jars}/*",
        ]

    def _run_tool(self, *arguments: str) -> None:
        done = subprocess.run([*self._java(128), *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServerUnavailable(f"{arguments[0]} failed: {(done.stdout + done.stderr)[-500:]}")

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _wait(self) -> None:
        if self._process is not None:
            self._process.wait(timeout=60)
            self._process = None

    def _last_words(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-800:] if self._log.exists() else "(no output)"


class RunningKafka:
    """A broker named by ``CROSSMARGIN_TEST_KAFKA``; tests use it and never stop it."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    @property
    def killable(self) -> bool:
        """Whether a test may stop this broker."""
        return False


def create_topics(bootstrap: str, topics: Mapping[str, int], *, configuration: Mapping[str, str] | None = None) -> None:
    """Create topics with the given partition counts and wait until the broker lists them all."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.create_topics(
            [
                NewTopic(name=name, num_partitions=count, replication_factor=1, topic_configs=dict(configuration or {}))
                for name, count in topics.items()
            ]
        )
        deadline = time.monotonic() + 20
        while not set(topics) <= set(admin.list_topics()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"topics {sorted(topics)} not listed after 20 s")
            time.sleep(0.05)
    finally:
        admin.close()


def unique(name: str) -> str:
    """A topic or group name no other test uses."""
    return f"{name}-{uuid.uuid4().hex[:10]}"


@contextlib.contextmanager
def producer(bootstrap: str) -> Iterator[KafkaProducer]:
    """A plain producer for test input, flushed and closed at the end."""
    client = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
    try:
        yield client
        client.flush(timeout=30)
    finally:
        client.close(timeout=5)


def find_jars() -> Path:
    """The directory with Kafka's jars, filled from Maven Central at first use; raises ``ServerUnavailable``."""
    cache = Path(os.environ.get("CROSSMARGIN_CACHE") or Path.home() / ".cache" / "crossmargin")
    jars = cache / f"kafka-{KAFKA_VERSION}"
    if (jars / f"kafka_2.13-{KAFKA_VERSION}.jar").exists():
        _java_binary()
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise ServerUnavailable(
            "no Maven to fetch Apache Kafka with: run `apt-get install maven`, or name a running broker "
            "in CROSSMARGIN_TEST_KAFKA (host:port)"
        )
    _java_binary()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        pom = Path(scratch) / "pom.xml"
        pom.write_text(_POM.format(version=KAFKA_VERSION), encoding="utf-8")
        target = Path(scratch) / "jars"
        command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={target}"]
        command.append("-DincludeScope=runtime")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServerUnavailable(f"Maven could not fetch Apache Kafka: {(done.stdout + done.stderr)[-500:]}")
        # Renamed into place whole, so that a broken download is never mistaken for a cache.
        with contextlib.suppress(OSError):
            target.rename(jars)
    return jars


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker | RunningKafka]:
    """One broker for the whole test session; tests use topic and group names of their own."""
    if bootstrap := os.environ.get("CROSSMARGIN_TEST_KAFKA"):
        yield RunningKafka(bootstrap)
        return
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker of the test's own, for tests that stop, kill or freeze it."""
    with KafkaBroker(tmp_path / "kafka", heap_mb=256) as broker:
        yield broker


def _java_binary() -> str:
    java = shutil.which("java")
    if java is None:
        raise ServerUnavailable(
            "no Java for Apache Kafka: run `apt-get install default-jdk-headless`, or name a running broker "
            "in CROSSMARGIN_TEST_KAFKA (host:port)"
        )
    return java


def _cluster_id() -> str:
    # KRaft wants a base64 UUID of 22 characters; any fixed value serves a cluster of one.
    return "Y3Jvc3NtYXJnaW4tdGVzdA"


def _answers(bootstrap: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", int(bootstrap.rsplit(":", 1)[1])), timeout=1):
            pass
        admin = KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
        admin.close()
        return True
    except (OSError, KafkaError):
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
