"""Settings: what was not chosen the machine answers, and what cannot be is refused by name."""

import os
from pathlib import Path
from typing import Any

import pytest

from workers.errors import BadSettings
from workers.settings import NodeSettings, Resolved

KEY = "ab12" * 16


def test_an_unnamed_node_is_named_after_its_host_and_key() -> None:
    """A token, the same at every start, and another for another key on the same host."""
    first = Resolved.of(NodeSettings(data=Path("x")), KEY).node
    other = Resolved.of(NodeSettings(data=Path("x")), "cd" * 32).node

    assert first.endswith("-ab12")
    assert first == Resolved.of(NodeSettings(data=Path("x")), KEY).node
    assert first != other


def test_the_machine_answers_what_was_left_open() -> None:
    """Slots are the cores, memory is what is free."""
    capabilities = Resolved.of(NodeSettings(data=Path("x")), KEY).capabilities

    assert capabilities.slots == capabilities.cores
    assert 1 <= capabilities.cores <= (os.cpu_count() or 1)
    assert capabilities.memory_mb > 0
    assert capabilities.engine.startswith("wasmtime-")
    assert capabilities.version


def test_what_was_chosen_is_kept() -> None:
    """Nothing that the operator said is overruled."""
    given = NodeSettings(data=Path("x"), id="n1", region="eu", node_type="phone", slots=3, memory_mb=77)
    resolved = Resolved.of(given, KEY)
    capabilities = resolved.capabilities

    assert resolved.node == "n1"
    assert (capabilities.region, capabilities.node_type) == ("eu", "phone")
    assert (capabilities.slots, capabilities.memory_mb) == (3, 77)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "a.b"),
        ("id", ""),
        ("region", "e u"),
        ("node_type", ""),
        ("labels", {"a.b": "c"}),
        ("slots", 0),
        ("slots", 5000),
        ("memory_mb", -1),
        ("bandwidth_mbps", 0.0),
        ("idle_watts", 100.0),
        ("drain_s", -1.0),
        ("telemetry_s", 0.0),
    ],
)
def test_what_cannot_be_is_refused_by_name(field: str, value: Any) -> None:
    """The error names the field, so that a person finds it."""
    with pytest.raises(BadSettings) as caught:
        Resolved.of(NodeSettings(**{"data": Path("x"), field: value}), KEY)

    assert field in caught.value.field
    assert caught.value.limit
