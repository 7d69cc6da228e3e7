"""The transactions of simulated clients: the real `Transaction` on the tree a node publishes.

As in `Store.transaction` the function runs on what the node shows, stale or not, and its reads go
with its writes as one command. Here each run is an operation of its own: one that found something
changed has failed, and the client runs the function again, as another operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from khepri.machine.paths import Path
from khepri.machine.values import decode_value, encode_value
from khepri.transaction import Transaction

from .simulation_workload import KEYS, Part

if TYPE_CHECKING:
    import random

    from khepri.machine.machine import View
    from khepri.machine.tree import TreeNode

    from .simulation_settings import SimulationSettings

SHAPES = ("one", "two", "all", "remove")
"""Read and put one key; read two and put both; read all keys and put one; remove one that is
there."""


class Run(NamedTuple):
    """One run of a transaction's function.

    Attributes:
        command: what is to be applied.
        seen: what was read: keys with their payloads, None for one that was not there.
        parts: what is written, in order.
    """

    command: bytes
    seen: dict[str, bytes | None]
    parts: list[Part]


def run_transaction(  # noqa: PLR0917 - as many as it needs
    view: View,
    key: str,
    number: int,
    note: Part,
    luck: random.Random,
    settings: SimulationSettings,
) -> Run:
    """Run a function on a published tree.

    Args:
        view: the tree.
        key: the client's.
        number: of the operation; what is written is made of it.
        note: what is written besides, so that no other command is like this one.
        luck: to draw from.
        settings: of the run.
    """
    shape = luck.choice(SHAPES)
    other = str(luck.randrange(settings.keys))
    transaction = Transaction("s", view)
    keys = [key]
    if shape == "two" and other != key:
        keys.append(other)
    elif shape == "all":
        keys = [str(one) for one in range(settings.keys)]
    seen = {one: payload_at(view.root, one) for one in keys}
    expected = {
        one: None if payload is None else decode_value(payload) for one, payload in seen.items()
    }
    if shape == "all":
        found = transaction.get_many(f"/{KEYS}/*")
        assert {path[-1]: value for path, value in found.items()} == {
            one: value for one, value in expected.items() if value is not None
        }, "a transaction reads what its tree shows"
    else:
        for one in keys:
            assert transaction.get_or([KEYS, one], None) == expected[one], "and so for one"
    parts: list[Part] = []
    if shape == "remove" and seen[key] is not None:
        parts.append(Part("delete", Path((KEYS, key))))
        transaction.delete([KEYS, key])
        assert not transaction.exists([KEYS, key]), "a transaction sees its own writes"
    else:
        for one in keys if shape == "two" else [key]:
            value = [number, one]
            path = Path((KEYS, one))
            transaction.put(path, value)
            assert transaction.get(path) == value, "a transaction sees its own writes"
            parts.append(Part("put", path, encode_value(value)))
    assert note.payload is not None, "it is a put"
    transaction.put(note.path, decode_value(note.payload))
    command = transaction.end()
    assert command is not None, "it writes"
    return Run(command, seen, [*parts, note])


def payload_at(root: TreeNode, key: str) -> bytes | None:
    """Give the payload of a key in a tree; None if there is none."""
    folder = root.children.get(KEYS)
    node = folder.children.get(key) if folder is not None else None
    return None if node is None else node.payload
