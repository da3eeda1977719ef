"""The command stress: drawn and real books, knobs, files, comparisons, and what it says about bad input."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from engine.errors import InvalidReference
from streams.cli import cli
from streams.stress import simulate, synthetic
from streams.stress_preset import load_preset, parse_preset, preset_names, with_shock, with_venue
from tests.streams.test_replay import deposit, fill, mark, market

SMALL = ("--accounts", "250", "--seconds", "900")


def run(*options: str) -> Result:
    return CliRunner().invoke(cli, ["stress", *options])


def report(*options: str) -> dict[str, Any]:
    result = run(*options, "--json")
    assert 0 == result.exit_code, result.stderr
    parsed = json.loads(result.stdout)
    assert isinstance(parsed, dict)
    return parsed


def test_a_seed_gives_the_same_report_and_another_seed_another() -> None:
    first = report(*SMALL, "--seed", "3")

    assert first == report(*SMALL, "--seed", "3")
    assert first["outcome"] != report(*SMALL, "--seed", "4")["outcome"]
    assert 250 == first["outcome"]["accounts"]
    assert ["burst", "peak minute", "first ADL", "ADL peak", "rebound"] == [each["name"] for each in first["moments"]]


def test_without_a_shock_hardly_anybody_is_touched_and_a_larger_one_touches_more() -> None:
    calm, small, large = (report(*SMALL, "--shock", size)["outcome"] for size in ("0", "0.05", "0.4"))

    assert calm["touched"] < small["touched"] < large["touched"]
    assert small["forced_volume"] < large["forced_volume"]
    assert large["index_low"] < small["index_low"] < 0


def test_an_outage_and_a_late_oracle_change_what_happens() -> None:
    large = ("--accounts", "250", "--seconds", "1500", "--shock", "0.3")
    plain = report(*large)["outcome"]
    out = report(*large, "--outage", "600")["outcome"]
    late = report(*large, "--oracle-lag", "300")["outcome"]

    assert out["bad_debt"] > 2.0 * plain["bad_debt"]
    # Debts are counted at the late mark; what it cost shows in the fund, at prices that were there.
    assert late["fund_draw"] > 2.0 * plain["fund_draw"]


def test_policies_are_compared_on_the_same_books_and_path() -> None:
    compared = report(*SMALL, "--shock", "0.3", "--compare")["policies"]

    assert {"as stated", "adl pro-rata", "not throttled", "netting on", "oracle 5 s later"} <= compared.keys()
    assert {250} == {outcome["accounts"] for outcome in compared.values()}
    assert compared["adl pro-rata"]["adl_overshoot"] <= compared["as stated"]["adl_overshoot"]
    # Selling everything at once, unthrottled, is bad, but a market that it empties has a price.
    assert compared["not throttled"]["index_low"] > -0.9
    assert compared["not throttled"]["bad_debt"] < load_preset("october-2025").population.open_interest


def test_real_books_come_from_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = [
        *market(),
        deposit("carol", "20000", 1),
        fill("carol", "1", 1, price="80000"),
        mark("BTC-USD-PERP", "80000", 1),
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    found = report("--events", str(path), "--seconds", "900", "--shock", "0.3")

    assert str(path) == found["books"]
    assert 1 == found["outcome"]["touched"]
    path.write_text("{")
    assert "line 1" in run("--events", str(path)).stderr


def test_a_picture_and_the_series_are_written(tmp_path: Path) -> None:
    assert 0 == run(*SMALL, "--out", str(tmp_path / "run")).exit_code
    assert (tmp_path / "run" / "stress.png").read_bytes().startswith(b"\x89PNG")
    header, *rows = (tmp_path / "run" / "stress.csv").read_text().splitlines()
    assert 900 == len(rows) and header.count(",") == rows[0].count(",")


def test_the_text_says_which_moments_land() -> None:
    text = run(*SMALL).stdout
    assert "held against 10 October 2025" in text and ("NO" in text or "yes" in text)


@pytest.mark.parametrize(
    "options, named",
    [
        (("--accounts", "3"), "--accounts"),
        (("--accounts", "100", "--events", "x"), "--accounts"),
        (("--preset", "march-2020"), "--preset"),
        (("--fund", "-1"), "--fund"),
        (("--events", "/nowhere"), "/nowhere"),
        (("--shock", "nan"), "size"),
        (("--fund", "inf"), "fund"),
        (("--oracle-lag", "inf"), "oracle_lag_s"),
        (("--outage", "inf"), "outage_s"),
    ],
)
def test_bad_input_is_named(options: tuple[str, ...], named: str) -> None:
    result = run(*options)
    assert 2 == result.exit_code and named in result.stderr


def test_every_shipped_preset_is_sound_and_a_broken_one_is_refused_by_field() -> None:
    assert ["october-2025"] == preset_names()
    preset = load_preset("october-2025")
    with pytest.raises(InvalidReference, match="participation"):
        with_venue(preset, participation=0.0)
    with pytest.raises(InvalidReference, match="run"):
        parse_preset("[run]\naccounts = 1")
    assert 0.5 == with_shock(preset, 0.5).shock.size


@pytest.mark.parametrize(
    "stated, broken, named",
    [
        ("beta = 1.0", "beta = nan", r"underlyings\[0\].beta"),
        ("open_interest = 28.0e9", "open_interest = inf", "population.open_interest"),
        ('adl = "queue"', 'adl = "lottery"', "venue.adl"),
        ("alpha = 1.0 ", "alhpa = 1.0 ", "alhpa"),
        ("makers = 20", "makers = 0", "population.makers"),
    ],
)
def test_what_is_wrong_in_a_preset_is_named(stated: str, broken: str, named: str) -> None:
    text = (resources.files("schemas") / "stress" / "october-2025.toml").read_text(encoding="utf-8")
    assert stated in text
    with pytest.raises(InvalidReference, match=named):
        parse_preset(text.replace(stated, broken))


def test_the_map_shows_who_sells_in_a_fall_and_who_buys_in_a_rise() -> None:
    rungs = report(*SMALL)["map"]
    moves = [rung["factor_move"] for rung in rungs]
    assert moves == sorted(moves) and moves[0] == pytest.approx(-0.4) and moves[-1] == pytest.approx(0.4)
    traded = {sign: sum(sum(r["planned"].values()) for r in rungs if r["factor_move"] * sign > 0) for sign in (-1, 1)}
    assert traded[-1] < 0.0 < traded[1]


def test_the_shipped_preset_lands_where_the_page_says() -> None:
    """docs/stress.md has twenty seeds; this is one of them, with all accounts."""
    preset = load_preset("october-2025")
    stress = simulate(preset, synthetic(preset, preset.run.accounts, 1), 1, 5400)
    landed = {moment.name for moment in stress.moments if moment.lands}
    assert LANDS_AT_SEED_1 <= landed, {moment.name: moment.value for moment in stress.moments}


LANDS_AT_SEED_1 = {"burst", "peak minute", "first ADL", "ADL peak", "rebound"}
