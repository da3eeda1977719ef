from __future__ import annotations

import pytest

from engine.ids import command_address, command_id, decision_id, event_key, transfer_credit_id


def test_command_id_names_its_address_and_only_for_its_account() -> None:
    made = command_id("alice", 3, 2, 1)
    assert (32, "00000003" + "0002" + "0001") == (len(made), made[:16])
    assert (3, 2, 1) == command_address("alice", made)
    assert command_address("bob", made) is None


@pytest.mark.parametrize("other", ["", "x" * 32, "0" * 31, "0" * 32, "0000000300020001" + "f" * 16])
def test_an_id_that_was_never_made_has_no_address(other: str) -> None:
    assert command_address("alice", other) is None


def test_ids_differ_by_every_part_and_by_where_parts_end() -> None:
    made = {
        decision_id("a", 1, 1),
        decision_id("a", 1, 2),
        decision_id("a", 2, 1),
        decision_id("b", 1, 1),
        decision_id("a", 11, 1),
        decision_id("a", 1, 11),
        transfer_credit_id("a", 1),
        transfer_credit_id("a1", 1),
        transfer_credit_id("a", 11),
    }
    assert 9 == len(made)


def test_ids_are_the_same_in_every_process_and_version() -> None:
    assert "00000001000100002af8b743ee91ba7e" == command_id("alice", 1, 1, 0)
    assert "d2f8a24ec194b96d429be4f79748cb00" == decision_id("alice", 1, 1)
    assert "20f2075aec1e55977a76c154cd95550d" == transfer_credit_id("alice", 1)
    assert "ec811ac7fecec1d6" == event_key("fill-1").hex()
