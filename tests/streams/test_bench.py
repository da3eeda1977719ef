"""The command ``bench``: benchmarks by name, results as printed, failures with the benchmark's last words."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

from bench import _check, _commands, _environment, _machine, _peer_process, _records, _rows, _scaling
from bench._venue import Venue
from engine.books.account import AccountBook, Position
from schemas.codec import decode
from schemas.events.fills import FillV1
from streams import runner
from streams.cli_commands import CommandFailed, InputError, bench
from streams.rows import split_row
from streams.state.fence import Fence, Kind
from tests.faults.cluster import Cluster
from tests.servers.kafka import KafkaBroker

ROOT = Path(__file__).resolve().parents[2]
SOUND = (
    'import json; print(json.dumps({"benchmark": "sound", "ours": 20, "reference": 10, "ratio": 2.0, "unit": "/s"}))'
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one sound benchmark."""
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "sound.py").write_text(SOUND, encoding="utf-8")
    monkeypatch.setattr(bench, "CHECKOUT", tmp_path)
    return tmp_path


def test_one_benchmark_prints_its_own_object(checkout: Path) -> None:
    result = CliRunner().invoke(bench.command, ["sound", "--json"], catch_exceptions=False)
    assert {"benchmark": "sound", "ours": 20, "reference": 10, "ratio": 2.0, "unit": "/s"} == json.loads(result.stdout)


def test_all_benchmarks_are_run_without_a_name(checkout: Path) -> None:
    (checkout / "bench" / "another.py").write_text(SOUND, encoding="utf-8")
    result = CliRunner().invoke(bench.command, ["--json"], catch_exceptions=False)
    assert 2 == len(json.loads(result.stdout)["benchmarks"])


def test_a_table_is_printed_for_people(checkout: Path) -> None:
    result = CliRunner().invoke(bench.command, [], catch_exceptions=False)
    assert ["sound", "20", "10", "2.0x", "/s"] == result.stdout.split()


def test_a_list_says_what_each_measures_and_runs_nothing(checkout: Path) -> None:
    text = '"""How fast it fails."""\nraise RuntimeError'
    (checkout / "bench" / "fails.py").write_text(text, encoding="utf-8")
    (checkout / "bench" / "_part.py").write_text(text, encoding="utf-8")
    result = CliRunner().invoke(bench.command, ["--list"], catch_exceptions=False)
    assert ["fails                 How fast it fails.", "sound"] == [
        line.rstrip() for line in result.stdout.splitlines()
    ]
    result = CliRunner().invoke(bench.command, ["--list", "--json"], catch_exceptions=False)
    assert {"name": "fails", "measures": "How fast it fails."} == json.loads(result.stdout)["benchmarks"][0]


def test_an_unknown_name_is_bad_input(checkout: Path) -> None:
    with pytest.raises(InputError, match="no benchmark 'fast'; there are sound"):
        CliRunner().invoke(bench.command, ["fast"], catch_exceptions=False)


def test_a_broken_benchmark_says_why(checkout: Path) -> None:
    (checkout / "bench" / "broken.py").write_text("raise RuntimeError('no broker')", encoding="utf-8")
    with pytest.raises(CommandFailed, match="benchmark broken failed: RuntimeError: no broker"):
        bench.run("broken")


def test_a_benchmark_without_a_reference_is_refused(checkout: Path) -> None:
    (checkout / "bench" / "lonely.py").write_text("print('{\"ours\": 1}')", encoding="utf-8")
    with pytest.raises(CommandFailed, match="lonely"):
        bench.run("lonely")


def test_an_installed_package_has_no_benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "CHECKOUT", tmp_path)
    with pytest.raises(CommandFailed, match="source checkout"):
        bench.benchmarks()


@pytest.mark.parametrize("name", [path.stem for path in (ROOT / "bench").glob("*.py") if path.stem[0] != "_"])
def test_every_benchmark_says_what_it_compares(name: str) -> None:
    text = (ROOT / "bench" / f"{name}.py").read_text(encoding="utf-8")
    assert "reference" in text.split('"""')[1]
    assert [] == [key for key in ("unit", "ours", "reference", "ratio") if f'"{key}"' not in text]


def test_a_key_goes_to_the_partition_of_the_workers() -> None:
    """A backlog in the wrong partitions would be dead letters, consumed very fast."""
    keys = [f"account-{number}".encode() for number in range(200)]
    assert [runner.partition_of(key, 8) for key in keys] == [_records.partition_of(key, 8) for key in keys]


def test_fills_are_valid_records_and_the_same_on_every_run() -> None:
    made = list(_records.fills(50, 10))
    assert made == list(_records.fills(50, 10))
    assert made != list(_records.fills(50, 10, seed=8))
    decoded = [fill for _, value in made if isinstance(fill := decode("fills", value), FillV1)]
    assert [key.decode() for key, _ in made] == [fill.account for fill in decoded]
    assert 50 == len({fill.event_id for fill in decoded})


def test_rows_of_a_restart_are_read_back_as_the_books_they_were() -> None:
    book = _rows.rich_book(3)
    assert sorted(_rows.MARKS) == sorted(book.positions)
    assert all(position.quantity_e8 for position in book.positions.values())
    (value,) = _rows.changelog_values([book])
    entry = Fence("test").admit(b"account-3", value, 0)
    assert (Kind.ROW, []) == (entry.kind, split_row(entry.payload)[1])
    assert [book] == _rows.books_of([value])
    keys = [key for key, _ in _rows.rows(3)]
    assert [b"falling-0", b"falling-1", b"account-0", b"account-1", b"account-2"] == keys


class Log:
    """A changelog and a topic of dead letters."""

    def __init__(self, records: Sequence[tuple[int, int, bytes, bytes | None]], letters: int = 0) -> None:
        self._records, self._letters = records, letters

    def read_all(self, topic: str) -> Sequence[tuple[int, int, bytes, bytes | None]]:
        return self._records if topic == _rows.CHANGELOG else []

    def all_ends(self, topics: tuple[str, ...]) -> dict[tuple[str, int], int]:
        return {(topic, 0): self._letters for topic in topics}


def venue_with(log: Log) -> Venue:
    return Venue(cast(KafkaBroker, None), cast(Cluster, log), Path(), 4)


def test_a_measured_worker_must_have_booked_what_was_published() -> None:
    published = [
        (b"a", fill_of("a", "buy", "0.010")),
        (b"a", fill_of("a", "sell", "1.5")),
        (b"b", fill_of("b", "buy", "2")),
    ]
    old, book = AccountBook("a"), AccountBook("a", positions={"BTC-PERP": Position(-149_000_000, 0, 0)})
    other = AccountBook("b", positions={"BTC-PERP": Position(200_000_000, 0, 0)})
    log = [
        (0, 0, b"\x00epoch", b"owner"),
        *((0, n, b.account.encode(), _rows.changelog_values([b])[0]) for n, b in enumerate([old, book])),
    ]
    with pytest.raises(_check.WrongResult, match=r"1 positions differ; \('b', 'BTC-PERP'\): None for 200000000"):
        _check.same_positions(venue_with(Log(log)), published)
    _check.same_positions(venue_with(Log([*log, (1, 0, b"b", _rows.changelog_values([other])[0])])), published)


def fill_of(account: str, side: str, quantity: str) -> bytes:
    return json.dumps({"account": account, "instrument": "BTC-PERP", "side": side, "quantity": quantity}).encode()


def test_a_dead_letter_voids_a_measurement() -> None:
    _check.no_dead_letters(venue_with(Log([])))
    with pytest.raises(_check.WrongResult, match="3 dead letters"):
        _check.no_dead_letters(venue_with(Log([], letters=3)))


def test_a_peer_without_a_result_fails_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_peer_process, "SCRIPTS", tmp_path)
    (tmp_path / "good.py").write_text('print("noise"); print(\'{"records": 30, "cpu_seconds": 1.5}\')')
    (tmp_path / "bad.py").write_text("raise RuntimeError('no broker')")
    directory = tmp_path / "work"
    assert 20.0 == _peer_process.fills_per_cpu_second(sys.executable, "good.py", "host:1", 30, directory)
    with pytest.raises(_peer_process.PeerFailed, match=r"(?s)bad\.py.*no broker"):
        _peer_process.fills_per_cpu_second(sys.executable, "bad.py", "host:1", 30, directory)


def test_an_environment_is_made_once_and_a_failure_names_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "uv"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$1" != venv ] || mkdir -p "$6"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CROSSMARGIN_CACHE", str(tmp_path / "cache"))
    assert _environment.environment(("one==1",)) == _environment.environment(("one==1",))
    assert ["venv", "pip"] == [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()]
    fake.write_text("#!/bin/sh\necho unreachable >&2\nexit 2\n")
    with pytest.raises(_environment.EnvironmentUnavailable, match=r"two==2.*registry reachable.*unreachable"):
        _environment.environment(("two==2",))


def test_percentiles_stay_inside_the_sample() -> None:
    ordered = [float(number) for number in range(1, 101)]
    assert (51.0, 100.0, 7.0) == (
        _commands.percentile(ordered, 0.5), _commands.percentile(ordered, 0.99), _commands.percentile([7.0], 0.99)
    )  # fmt: skip


def test_cpu_time_of_a_process_grows_with_its_work() -> None:
    before = _machine.cpu_seconds(os.getpid())
    sum(number * number for number in range(2_000_000))
    assert before < _machine.cpu_seconds(os.getpid())
    assert _machine.resident_bytes(os.getpid()) > 1 << 20


def test_the_page_about_scaling_says_what_its_formulas_say() -> None:
    text = _scaling.PAGE.read_text(encoding="utf-8")
    assert text == _scaling.rewritten(text), "run python -m bench._scaling"
    assert 3 == len(_scaling.venues(text))


def test_the_model_of_scaling_adds_up() -> None:
    """One worker of one core by hand: 1,000 fills of 100 µs, 10 marks of 100 µs + 1,000 accounts x 0.1 µs."""
    text = _scaling.PAGE.read_text(encoding="utf-8")
    costs = {**_scaling.measured(text), "fill_us": 60.0, "row_us": 40.0, "mark_us": 100.0, "mark_account_us": 0.1,
             "mark_batch_us": 0.0}  # fmt: skip
    venue = {**_scaling.venues(text)[0], "accounts": 1000.0, "fills": 1000.0, "marks": 10.0, "partitions": 4.0}
    found = _scaling.derived(costs, venue)
    assert (1, 0.25, 1000.0) == (found["workers"], found["workers_per_partition"], found["accounts_per_worker"])
    assert pytest.approx(10 * (100 + 100) / 1e6) == found["mark_share_of_a_core"]
    assert pytest.approx(1000 * costs["row_bytes"] / 1e6) == found["changelog_mb_s"]
    flooded = _scaling.derived(costs, {**venue, "marks": 5000.0})
    assert math.isinf(flooded["workers"])
