"""docker-compose.yml and the Dockerfile, checked as far as that goes without a Docker engine.

The file is parsed by an implementation of the Compose specification, then held to the rules of this house: pinned
images, a health check or a stated reason, orderly start, settings that exist, ports on the loopback interface only.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Choice, Context
from compose_spec import PyCompose

from streams.cli import cli
from streams.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
OURS = "crossmargin:0.1.0"
Service = dict[str, Any]


def services() -> dict[str, Service]:
    """Every service with merges resolved and variables filled in."""
    filled = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda match: f"value-of-{match[1]}", TEXT)
    loaded: dict[str, Service] = yaml.safe_load(filled)["services"]
    return loaded


def ours() -> dict[str, Service]:
    """The services that run this project's image."""
    return {name: service for name, service in services().items() if service["image"] == OURS}


def starts_once(service: Service) -> bool:
    """Whether the service is meant to end."""
    return bool(service.get("restart") == "no")


def subcommands(service: Service) -> list[str]:
    """The ``crossmargin`` subcommands a service runs."""
    if service.get("entrypoint") == ["sh", "-c"]:
        return re.findall(r"crossmargin (\w+)", service["command"][0])
    return [service["command"][0]]


def test_the_file_is_a_valid_compose_file() -> None:
    filled = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda match: f"value-of-{match[1]}", TEXT)
    compose = PyCompose.from_json(json.dumps(yaml.safe_load(filled)))
    compose.validate()
    assert {"kafka", "clickhouse", "init", "oracle", "risk", "audit"} == set(compose.service_names())
    assert "crossmargin" == compose.to_spec().name


def test_the_validator_refuses_a_broken_file() -> None:
    broken = yaml.safe_load(TEXT.replace("condition: service_healthy", "condition: service_fine", 1))
    with pytest.raises(ValueError, match="service_fine"):
        PyCompose.from_json(json.dumps(broken))


def test_every_image_is_pinned() -> None:
    for name, service in services().items():
        _, _, tag = service["image"].partition(":")
        assert re.fullmatch(r"\d+(\.\d+)+", tag), name


def test_the_image_has_the_version_of_the_distribution() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert f"crossmargin:{version[1]}" == OURS
    assert set(ours()) == {"init", "oracle", "risk", "audit"}


def test_every_lasting_service_has_a_health_check_or_says_why_not() -> None:
    for name, service in services().items():
        if not starts_once(service):
            assert "healthcheck" in service or len(service.get("x-no-healthcheck", "")) > 20, name


def test_nobody_waits_for_what_cannot_come() -> None:
    everything = services()
    for name, service in everything.items():
        for other, need in service.get("depends_on", {}).items():
            if need["condition"] == "service_healthy":
                assert "healthcheck" in everything[other], (name, other)
            else:
                assert "service_completed_successfully" == need["condition"], (name, other)
                assert starts_once(everything[other]), (name, other)


def test_every_worker_waits_for_topics_and_tables() -> None:
    for name, service in ours().items():
        if name != "init":
            assert ["init"] == list(service["depends_on"])


def test_settings_are_accepted_by_the_program() -> None:
    for service in ours().values():
        environment = {name: str(value) for name, value in service["environment"].items()}
        known = {f"CROSSMARGIN_{field.name.upper()}" for field in fields(load_settings({}))}
        assert set() == environment.keys() - known
        settings = load_settings(environment)
        assert "kafka:19092" == settings.kafka
        assert settings.clickhouse.startswith("clickhouse://crossmargin:value-of-CLICKHOUSE_PASSWORD@clickhouse:9000/")


def test_workers_reach_kafka_by_an_advertised_listener() -> None:
    kafka = services()["kafka"]["environment"]
    assert "PLAINTEXT://kafka:19092" in kafka["KAFKA_ADVERTISED_LISTENERS"].split(",")
    names = {listener.split(":")[0] for listener in kafka["KAFKA_LISTENERS"].split(",")}
    mapped = {pair.split(":")[0] for pair in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")}
    assert names == mapped


def test_commands_exist() -> None:
    for service in ours().values():
        for command in subcommands(service):
            assert command in cli.list_commands(Context(cli))


def test_every_role_of_the_worker_is_deployed() -> None:
    worker = cli.get_command(Context(cli), "worker")
    assert worker is not None
    role = next(parameter for parameter in worker.params if parameter.name == "role")
    assert isinstance(role.type, Choice)
    choices = set(role.type.choices)
    deployed = {service["command"][2] for service in ours().values() if service["command"][0] == "worker"}
    assert choices - {"all"} == deployed


def test_ports_are_open_to_this_machine_only() -> None:
    published = [port for service in services().values() for port in service.get("ports", ())]
    assert published
    assert all(str(port).startswith("127.0.0.1:") for port in published)


def test_no_password_is_written_down() -> None:
    assert re.findall(r"PASSWORD: (.*)", TEXT) == ["${CLICKHOUSE_PASSWORD:?choose a password for the audit database}"]


def test_named_volumes_are_declared_and_used() -> None:
    mounted = {volume.split(":")[0] for service in services().values() for volume in service.get("volumes", ())}
    assert set(yaml.safe_load(TEXT)["volumes"]) == {name for name in mounted if not name.startswith("/")}


def test_a_scaled_worker_shares_no_store() -> None:
    assert [services()["risk"]["volumes"]] == [["/var/lib/crossmargin"]]
    assert "CROSSMARGIN_DATA_DIR=/var/lib/crossmargin" in DOCKERFILE


def test_the_dockerfile_copies_what_exists_and_the_context_holds_it() -> None:
    context = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [
        line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY") and "--from" not in line
    ]
    names = [name for line in copied for name in line]
    assert {"pyproject.toml", "uv.lock", "engine", "schemas", "streams"} <= set(names)
    for name in names:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in context, name


def test_the_image_is_built_with_the_tool_version_of_the_checkout() -> None:
    bootstrap = (ROOT / "scripts" / "bootstrap.sh").read_text(encoding="utf-8")
    assert re.findall(r"uv==([\d.]+)", DOCKERFILE) == re.findall(r"uv==([\d.]+)", bootstrap)


def test_the_image_does_not_run_as_root() -> None:
    last_stage = DOCKERFILE.rpartition("FROM ")[2]
    assert re.search(r"^USER crossmargin$", last_stage, re.MULTILINE)
