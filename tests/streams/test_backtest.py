"""The backtest: histories read or refused, archetypes valued, nothing seen ahead, and the command around it."""

from __future__ import annotations

import builtins
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from engine.pricing.axes import Floats
from engine.statistics.filtered import filtered_moves
from engine.statistics.quantile_risk import es_fractional, var_order
from streams.backtest import TOOLS, Backtest, Settings, report, run_backtest
from streams.backtest_history import InvalidHistory, PriceHistory, parse_history, public_history
from streams.backtest_portfolios import ARCHETYPES, Day, Moves, implied_volatility, portfolio_pnl
from streams.cli import cli

ORIGIN = "prices.csv"


def history(returns_TF: Floats, start: datetime = datetime(2020, 1, 1, tzinfo=UTC)) -> PriceHistory:
    """Daily prices from log returns."""
    prices = 100.0 * np.exp(np.concatenate([np.zeros((1, returns_TF.shape[1])), np.cumsum(returns_TF, axis=0)]))
    times = tuple(start + timedelta(days=t) for t in range(len(prices)))
    return PriceHistory("made up", ("A", "B")[: returns_TF.shape[1]], times, prices, 0.97)


def returns(count: int, factors: int = 2, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(0.0, 0.01, (count, factors))


SMALL = Settings(level=0.95, window=100)
CALM = run_backtest(history(returns(400)), SMALL)


def measure(run: Backtest, archetype: str, name: str) -> Floats:
    (result,) = (result for result in run.results if result.archetype.name == archetype)
    (found,) = (part for part in result.measures if part.measure == name)
    return found.requirement_D


def run_command(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["backtest", *(str(argument) for argument in arguments)])


def write_csv(path: Path, rows: int, factors: int = 2) -> Path:
    prices = history(returns(rows - 1, factors)).prices_TF
    lines = [",".join(["date", *"AB"[:factors]])]
    for t, row in enumerate(prices):
        day = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=t)
        lines.append(",".join([day.date().isoformat(), *(f"{price:.4f}" for price in row)]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_csv_file_is_read() -> None:
    text = "time,BTC,ETH\n2024-01-01T00:00:00Z,100,10\n2024-01-01T08:00:00+00:00,101,9.5\n\n2024-01-01T16:00:00,99,9\n"
    read = parse_history(text, "mine", ORIGIN)
    assert ("BTC", "ETH") == read.factors
    assert [[100.0, 10.0], [101.0, 9.5], [99.0, 9.0]] == read.prices_TF.tolist()
    assert 365.25 * 3 == pytest.approx(read.periods_per_year)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: a time column and at least one price column"),
        ("date\n2024-01-01\n", "line 1: a time column"),
        ("date,A,A\n", "line 1: two columns are named A"),
        ("date,A,\n", "line 1: column 3 has no name"),
        ("date,A\n2024-01-01,1\n2024-01-02\n", "line 3: 1 columns where the header has 2"),
        ("date,A\n01/02/2024,1\n", "line 2, column date: '01/02/2024' is not a time"),
        ("date,A\n2024-01-02,1\n2024-01-02,1\n", "line 3, column date: 2024-01-02 is not after"),
        ("date,A,B\n2024-01-01,1,\n", "line 2, column B: '' is not a number"),
        ("date,A\n2024-01-01,nan\n", "line 2, column A: nan is not a positive price"),
        ("date,A\n2024-01-01,0\n", "line 2, column A: 0 is not a positive price"),
        ("date,A\n2024-01-01,1\n2024-01-02,2\n", "2 prices are no history"),
    ],
)
def test_a_complaint_names_line_and_column(text: str, words: str) -> None:
    with pytest.raises(InvalidHistory) as refused:
        parse_history(text, "mine", ORIGIN)
    assert str(refused.value).startswith(ORIGIN)
    assert words in str(refused.value)


def test_public_series_are_joined_on_common_days() -> None:
    pytest.importorskip("arch", reason="needs the extra history")
    joint = public_history(("sp500", "wti"))
    assert ("sp500", "wti") == joint.factors
    assert 5012 == len(joint.times)  # the published number of joint returns, 5,011, and one
    assert (joint.prices_TF > 0).all()
    assert 250 < joint.periods_per_year < 253


def test_minutes_of_the_depeg_come_with_the_package() -> None:
    minutes = public_history(("usdc-2023-03",))
    assert (8640, 2) == minutes.prices_TF.shape
    usdc = minutes.prices_TF[:, 0] / minutes.prices_TF[:, 1]
    assert 0.87 < usdc.min() < 0.88


@pytest.mark.parametrize("names", [("sp500", "sp500"), ("sp500", "usdc-2023-03")])
def test_series_that_cannot_be_joined_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidHistory, match="--series"):
        public_history(names)


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arch", None)
    result = run_command("--series", "sp500")
    assert 2 == result.exit_code
    assert "install crossmargin[history]" in result.stderr


def one_move(price_ratios: tuple[float, float], short: float = 0.2, years: float = 0.0) -> Moves:
    ratios = tuple(np.array([[ratio]]) for ratio in price_ratios)
    return Moves(ratios, (np.array([[short]]), np.array([[short]])), years)


DAY = Day(np.full((1, 2), 0.2), np.full((1, 2), 0.2), np.array([[1.0, 0.5]]))


@pytest.mark.parametrize(
    ("name", "ratios", "gain"),
    [
        ("directional", (0.9, 1.0), -10.0),
        ("market-neutral", (0.9, 0.95), -5.0),
        ("basis", (0.9, 0.9), -5.0),  # hedged at a beta of one half
    ],
)
def test_linear_archetypes_gain_percent_of_notional(name: str, ratios: tuple[float, float], gain: float) -> None:
    assert gain == pytest.approx(portfolio_pnl(ARCHETYPES[name], DAY, one_move(ratios))[0, 0])


def test_a_short_straddle_far_away_loses_the_move_less_its_premium() -> None:
    premium = 2 * 0.3989422804 * 0.2 * np.sqrt(30 / 365)  # at the money, to first order
    for ratio in (0.5, 1.5):
        gain = portfolio_pnl(ARCHETYPES["straddle"], DAY, one_move((ratio, 1.0)))[0, 0]
        assert 100 * (premium - 0.5) == pytest.approx(gain, abs=0.01)


def test_an_iron_condor_loses_no_more_than_its_wings() -> None:
    deviation = 0.2 * np.sqrt(30 / 365)
    up = 100 * (np.exp(2 * deviation) - np.exp(deviation))
    losses = [-portfolio_pnl(ARCHETYPES["iron-condor"], DAY, one_move((x, 1.0)))[0, 0] for x in (1.3, 1.6, 5.0)]
    assert losses == pytest.approx([losses[-1]] * 3, abs=0.05)
    assert 0.5 * up < losses[-1] < up


def test_a_calendar_loses_when_near_volatility_or_the_price_moves_and_gains_with_time() -> None:
    calendar = ARCHETYPES["calendar"]
    assert portfolio_pnl(calendar, DAY, one_move((1.0, 1.0), short=0.25))[0, 0] < 0.0
    assert portfolio_pnl(calendar, DAY, one_move((0.9, 1.0)))[0, 0] < 0.0
    assert portfolio_pnl(calendar, DAY, one_move((1.0, 1.0), years=1 / 365))[0, 0] > 0.0
    assert 0.0 == portfolio_pnl(calendar, DAY, one_move((1.0, 1.0)))[0, 0]


def test_volatility_reverts_with_maturity() -> None:
    short, long_run = np.array(0.6), np.array(0.2)
    near, far = (float(implied_volatility(short, long_run, years)) for years in (1e-6, 50.0))
    assert (0.6, 0.2) == (pytest.approx(near, abs=1e-4), pytest.approx(far, abs=2e-3))


def test_requirements_are_those_of_the_engine() -> None:
    prices = history(returns(400))
    log_returns = np.diff(np.log(prices.prices_TF), axis=0)
    for d in (0, 57, 199):
        row = int(CALM.rows_D[d])
        past = log_returns[:row, 0]
        plain = 100 * np.expm1(past[-100:])
        assert var_order(plain, 0.95) == pytest.approx(measure(CALM, "directional", "hvar")[d])
        moves = 100 * np.expm1(filtered_moves(past, decay=0.97, burn_in=100)[-100:])
        assert var_order(moves, 0.95) == pytest.approx(measure(CALM, "directional", "fhs-var")[d])
        root = np.sqrt((past**2).mean())
        target = filtered_moves(past, decay=0.97, burn_in=100, target_volatility_F=np.asarray(root))
        floor = 100 * np.expm1(target[-100:])
        expected = max(es_fractional(moves, 0.95), es_fractional(floor, 0.95))
        assert expected == pytest.approx(measure(CALM, "directional", "margin")[d])


def test_the_result_of_a_day_is_the_move_after_it() -> None:
    prices = history(returns(400)).prices_TF[:, 0]
    expected = 100 * (prices[CALM.rows_D + 1] / prices[CALM.rows_D] - 1)
    assert expected == pytest.approx(CALM.results[0].gains_D)
    assert (200, 399) == (CALM.rows_D[0], CALM.rows_D[-1])


def test_margin_does_not_know_the_day_it_is_for() -> None:
    changed = returns(400)
    changed[300:] *= 20.0
    wild = run_backtest(history(changed), SMALL)
    for archetype in ARCHETYPES:
        for name in ("hvar", "fhs-var", "margin"):
            calm_D, wild_D = measure(CALM, archetype, name), measure(wild, archetype, name)
            assert np.array_equal(calm_D[:101], wild_D[:101]), (archetype, name)
            assert not np.array_equal(calm_D[101:], wild_D[101:]), (archetype, name)


def test_a_crash_is_counted_and_judged() -> None:
    crashed = returns(400)
    crashed[[250, 251, 252], 0] = -0.3
    run = run_backtest(history(crashed), SMALL, ["directional"])
    (result,) = run.results
    margin = result.measures[-1]
    assert margin.hits_D[[50, 51]].all()
    assert int(margin.hits_D.sum()) == margin.coverage.exceedances
    assert margin.coverage.independence.p_value < 0.05
    assert margin.procyclicality is not None and margin.procyclicality.peak_to_trough > 2


def test_tools_are_applied_to_the_shortfall_before_its_floor() -> None:
    run = run_backtest(history(returns(400)), replace(SMALL, tools=True), ["directional"])
    plain, margin = measure(run, "directional", "es"), measure(run, "directional", "margin")
    assert (plain <= margin).all()
    for name, tool in TOOLS.items():
        assert np.array_equal(tool(plain), measure(run, "directional", name))
        assert (measure(run, "directional", name) >= plain).all()
    assert 8 == len(run.results[0].measures)


def test_longer_horizons_do_not_overlap() -> None:
    run = run_backtest(history(returns(500)), replace(SMALL, horizon=5), ["directional"])
    assert {5} == set(np.diff(run.rows_D).tolist())
    prices = history(returns(500)).prices_TF[:, 0]
    assert 100 * (prices[run.rows_D + 5] / prices[run.rows_D] - 1) == pytest.approx(run.results[0].gains_D)


def test_an_archetype_that_lacks_a_factor_is_named() -> None:
    run = run_backtest(history(returns(400, factors=1)), SMALL)
    assert {"market-neutral", "basis"} == set(run.not_measured)
    assert {"directional", "straddle", "iron-condor", "calendar"} == {r.archetype.name for r in run.results}


@pytest.mark.parametrize(("count", "settings"), [(228, SMALL), (400, replace(SMALL, level=0.999))])
def test_too_little_history_is_refused(count: int, settings: Settings) -> None:
    with pytest.raises(InvalidHistory, match="--window"):
        run_backtest(history(returns(count)), settings)


def test_the_shortest_history_that_is_named_is_enough() -> None:
    with pytest.raises(InvalidHistory, match="needs 231"):
        run_backtest(history(returns(228)), SMALL, ["directional"])
    assert 30 == run_backtest(history(returns(230)), SMALL, ["directional"]).rows_D.size


def test_the_command_prints_one_object(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "prices.csv", 300)
    result = run_command(path, "--window", 100, "--level", 0.95, "--json")
    assert 0 == result.exit_code, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    assert {"history", "settings", "archetypes", "not_measured"} == told.keys()
    assert list(ARCHETYPES) == [item["archetype"] for item in told["archetypes"]]
    first = told["archetypes"][0]["measures"][0]
    assert {
        "measure",
        "coverage",
        "exceedances",
        "expected",
        "kupiec",
        "independence",
        "procyclicality",
    } <= first.keys()
    assert first["coverage"] == pytest.approx(1 - first["exceedances"] / first["observations"])


def test_the_report_counts_what_the_series_show() -> None:
    told: Any = report(CALM)
    for item, result in zip(told["archetypes"], CALM.results, strict=True):
        for shown, part in zip(item["measures"], result.measures, strict=True):
            assert int((-result.gains_D > part.requirement_D).sum()) == shown["exceedances"]
            assert len(CALM.rows_D) == shown["observations"]


def test_the_command_prints_a_table_and_says_what_is_missing(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "prices.csv", 300, factors=1)
    result = run_command(path, "--window", 100, "--level", 0.95)
    assert 0 == result.exit_code, result.stderr
    for words in ("directional", "fhs-var", "margin", "Kupiec p", "basis: not measured, needs 2 factors"):
        assert words in result.stdout


def test_a_picture_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra embedded")
    path, picture = write_csv(tmp_path / "prices.csv", 300), tmp_path / "out.png"
    result = run_command(path, "--window", 100, "--level", 0.95, "--plot", picture, "--tools")
    assert 0 == result.exit_code, result.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_picture_without_its_extra_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without_matplotlib(name: str, *rest: Any, **extra: Any) -> object:
        if name == "matplotlib" or name.startswith("matplotlib."):
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        return real(name, *rest, **extra)

    monkeypatch.delitem(sys.modules, "streams.backtest_chart", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    result = run_command(tmp_path / "absent.csv", "--plot", tmp_path / "out.png")
    assert 1 == result.exit_code
    assert "Needs matplotlib: install crossmargin[embedded]" in result.stderr


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("date,A\n2024-01-01,1\n2024-01-02,-1\n")
    for arguments, words in (
        ((path,), "line 3, column A: -1 is not a positive price"),
        ((path, "--series", "sp500"), "--series"),
        ((tmp_path / "absent.csv",), "absent.csv"),
        ((path, "--level", "1.0"), "--level"),
        ((path, "--archetype", "gamble"), "--archetype"),
    ):
        result = run_command(*arguments)
        assert (2, "") == (result.exit_code, result.stdout)
        (line,) = result.stderr.splitlines()
        assert line.startswith("error: ") and words in line
