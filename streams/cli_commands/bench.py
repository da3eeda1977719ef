"""``crossmargin bench``: the benchmarks of a source checkout, each beside its reference.

Owns finding and running them, each in a process of its own so that none warms another up. Refuses to measure: a
benchmark is a module of ``bench/`` that prints one JSON object with ``ours``, ``reference``, ``ratio`` and ``unit``.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import click
import orjson

from streams.cli_commands import CommandFailed, InputError, json_option, print_json

CHECKOUT = Path(__file__).resolve().parents[2]


@click.command
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--list", "list_only", is_flag=True, help="Say what there is and run nothing.")
@json_option
def command(names: tuple[str, ...], list_only: bool, as_json: bool) -> None:
    """Run benchmarks by NAME, or all of them; needs a source checkout.

    With --json and one NAME its result is printed as it is; otherwise {"benchmarks": [...]}. Each runs with its
    defaults; ``python -m bench.NAME --help`` shows its options.
    """
    known = benchmarks()
    if list_only:
        show(known, as_json)
        return
    for name in names:
        if name not in known:
            raise InputError(f"NAME: no benchmark {name!r}; there are {', '.join(known)}")
    results = []
    for name in names or known:
        result = run(name)
        results.append(result)
        if not as_json:
            figures = (
                f"{result['ours']:>14,} {result['reference']:>14,} {result['ratio']:>8}x  {result.get('unit', '')}"
            )
            click.echo(f"{name:<22}{figures}")
    if as_json:
        print_json(results[0] if len(names) == 1 else {"benchmarks": results})


def show(names: list[str], as_json: bool) -> None:
    """Print the benchmarks with what each measures; as JSON {"benchmarks": [{"name", "measures"}]}."""
    if as_json:
        print_json({"benchmarks": [{"name": name, "measures": measures(name)} for name in names]})
        return
    for name in names:
        click.echo(f"{name:<22}{measures(name)}")


def measures(name: str) -> str:
    """The first line of a benchmark's docstring."""
    text = (CHECKOUT / "bench" / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def benchmarks() -> list[str]:
    """Names of all benchmarks; raises ``CommandFailed`` outside a checkout."""
    folder = CHECKOUT / "bench"
    found = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    if not found:
        raise CommandFailed("benchmarks are part of the source checkout, not of the installed package")
    return found


def run(name: str) -> dict[str, object]:
    """Run one benchmark and return its result; raises ``CommandFailed`` with its last words."""
    done = subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=CHECKOUT, capture_output=True, check=False)
    try:
        result = orjson.loads(done.stdout)
    except orjson.JSONDecodeError:
        result = None
    if done.returncode or not isinstance(result, dict) or not {"ours", "reference", "ratio"} <= result.keys():
        words = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise CommandFailed(f"benchmark {name} failed: {words[-1] if words else 'it printed no result'}")
    return result
