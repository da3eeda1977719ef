"""The AsyncAPI document: every topic, its key, its records and who writes and reads them, for teams and their tools.

Owns the translation of the manifest and the contracts to AsyncAPI 3.0; nothing is stated here that is not stated there.
"""

from __future__ import annotations

import msgspec

from schemas.catalogue import Topic, load_catalogue, struct_types
from schemas.json_schema import portable

ASYNCAPI = "3.0.0"
KAFKA_BINDING = "0.5.0"
SCHEMA_REF = "#/components/schemas/{name}"


def asyncapi(version: str) -> dict[str, object]:
    """The document for ``version`` of this package: a channel per topic; an operation ``send`` and ``receive`` per
    channel, from the side of whoever connects; a message per contract that a topic carries."""
    topics = load_catalogue()
    structs = {struct.__name__: struct for topic in topics.values() for struct in struct_types(topic.contract_type)}
    _, schemas = msgspec.json.schema_components(structs.values(), ref_template=SCHEMA_REF)
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "crossmargin",
            "version": version,
            "description": "Real-time cross-margin risk. Keys choose partitions, partitions choose owners of accounts.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(topic) for name, topic in topics.items()},
        "operations": {
            f"{action}-{name}": _operation(action, topic)
            for name, topic in topics.items()
            for action in ("send", "receive")
        },
        "components": {
            "messages": {name: _message(name, struct) for name, struct in sorted(structs.items())},
            "schemas": {name: portable(schema) for name, schema in sorted(schemas.items())},
        },
    }


def _channel(topic: Topic) -> dict[str, object]:
    names = [struct.__name__ for struct in struct_types(topic.contract_type)]
    kafka: dict[str, object] = {
        "topicConfiguration": {"cleanup.policy": [topic.cleanup]},
        "bindingVersion": KAFKA_BINDING,
    }
    if topic.partitions != "accounts":
        kafka["partitions"] = topic.partitions
    return {
        "address": topic.name,
        "description": topic.description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"kafka": kafka},
        "x-key": topic.key,
        "x-co-partitioned": topic.partitions == "accounts",
        "x-dead-letters": topic.dead_letters,
    }


def _operation(action: str, topic: Topic) -> dict[str, object]:
    """Who writes a topic sends to its channel; who reads it receives."""
    names = [struct.__name__ for struct in struct_types(topic.contract_type)]
    parties = topic.producers if action == "send" else topic.consumers
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": f"{', '.join(parties)} {'write' if action == 'send' else 'read'} {topic.name}",
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in names],
    }


def _message(name: str, struct: type[msgspec.Struct]) -> dict[str, object]:
    return {
        "name": name,
        "title": name,
        "summary": " ".join((struct.__doc__ or name).split()),
        "contentType": "application/json",
        "payload": {"$ref": SCHEMA_REF.format(name=name)},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": KAFKA_BINDING}},
    }
