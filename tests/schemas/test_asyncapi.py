"""The AsyncAPI document: complete, current on disk, and every reference leads somewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from schemas.asyncapi import asyncapi
from schemas.catalogue import load_catalogue
from streams.cli import cli
from tests.schemas.examples import Example, load

PAGE = Path(__file__).resolve().parents[2] / "docs" / "asyncapi.json"


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CliRunner().invoke(cli, ["schema", "--asyncapi"]).stdout)
    return found


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(whole: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        whole = whole[part.replace("~1", "/").replace("~0", "~")]
    return whole


def test_the_committed_document_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == CliRunner().invoke(cli, ["schema", "--asyncapi"]).stdout, (
        "run crossmargin schema --asyncapi > docs/asyncapi.json"
    )


def test_every_reference_leads_somewhere_and_every_topic_is_there() -> None:
    whole = document()
    found = set(references(whole))
    assert {"#/components/schemas/FillV1", "#/channels/fills", "#/channels/fills/messages/FillV1"} <= found
    for reference in found:
        assert resolved(whole, reference), reference
    assert whole["channels"].keys() == load_catalogue().keys()
    assert "3.0.0" == whole["asyncapi"] and {"title", "version"} <= whole["info"].keys()
    for operation in whole["operations"].values():
        assert operation["action"] in ("send", "receive")


@pytest.mark.parametrize("example", load("valid"), ids=lambda example: f"{example.topic}-{example.name}")
def test_examples_are_what_the_document_says(example: Example) -> None:
    whole = document()
    channel = whole["channels"][example.topic]
    payloads = [whole["components"]["messages"][name]["payload"] for name in channel["messages"]]
    schema = {"anyOf": payloads, "components": whole["components"]}
    jsonschema.Draft202012Validator(schema).validate(example.plain)


def test_the_flag_takes_no_name() -> None:
    result = CliRunner().invoke(cli, ["schema", "fills", "--asyncapi"])
    assert 2 == result.exit_code and "NAME" in result.stderr
    assert asyncapi("1.2.3")["info"]["version"] == "1.2.3"  # type: ignore[index]
