"""``crossmargin methods``: the margin methods."""

from __future__ import annotations

import click

from streams.cli_commands import InputError, json_option, print_json
from streams.margin_methods import load_methods
from streams.method_report import describe
from streams.offline import METHOD


@click.command
@click.argument("names", nargs=-1)
@json_option
def command(names: tuple[str, ...], as_json: bool) -> None:
    """List margin methods with version and source; NAMES picks some."""
    methods = [METHOD.described(), *(describe(method) for method in load_methods().values())]
    known = {str(method["name"]): method for method in methods}
    for name in names:
        if name not in known:
            raise InputError(f"{name}: no such method; there are {', '.join(sorted(known))}")
    chosen = [known[name] for name in sorted(names or known)]
    if as_json:
        print_json({"methods": chosen})
        return
    for method in chosen:
        click.echo(f"{method['name']} {method['version']}: {method['source']}")
