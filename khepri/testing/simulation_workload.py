"""What simulated clients do besides single writes: in parts, each of which is plain data.

Commands of several operations, triggers and what they name, times to live, transactions. Every
command ends with a note whose payload is like no other, so that it is known by its bytes. What
the parts mean is for the machine to do and for a checker's model to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from khepri.machine import commands
from khepri.machine.conditions import IfAll, IfPayloadVersion
from khepri.machine.paths import Path, resolve_path
from khepri.machine.triggers import KINDS
from khepri.machine.unix_paths import STAR
from khepri.machine.values import ProcedureName, encode_value

if TYPE_CHECKING:
    import random

    from khepri.machine.commands import Operation as MachineOperation
    from khepri.machine.paths import PathPattern

    from .simulation_settings import SimulationSettings

KEYS = "k"
"""The folder of all keys."""

PROCEDURES = "procedures"
"""The folder of the names of procedures."""

PROCEDURE_NAMES = tuple(f"khepri.testing.simulation/{number}" for number in range(3))
"""What stored names say; there is a function for each (`simulation_calls.py`)."""

SHAPES = ("key", "keys", "folders", "all", "root", "fresh")
"""Which tree nodes a trigger may be for."""


class Watch(NamedTuple):
    """A trigger that is registered.

    Attributes:
        trigger_id: its name.
        shape: one of `SHAPES`: one key, all keys, all folders, everything but the root, the root,
            what lies in a folder and has the first version of its payload.
        key: which key, for the first shape.
        kinds: of changes it is for.
        priority: of its calls.
        procedure: at which path the name of its procedure is.
    """

    trigger_id: str
    shape: str
    key: str
    kinds: tuple[str, ...]
    priority: int
    procedure: Path


class Part(NamedTuple):
    """One operation of a command.

    Attributes:
        kind: put, delete, watch or unwatch.
        path: of what is written.
        payload: what is put.
        ttl_milliseconds: how long it lives, None if that stays as it is.
        watch: the trigger.
    """

    kind: str
    path: Path = Path(())
    payload: bytes | None = None
    ttl_milliseconds: int | None = None
    watch: Watch | None = None


def kinds_for(settings: SimulationSettings) -> tuple[str, ...]:
    """Give what the clients of a run do in parts, some kinds several times to be done as often."""
    kinds: tuple[str, ...] = ()
    if settings.triggers:
        kinds += ("watch",) * 3 + ("name",) * 2 + ("several",) * 2 + ("unwatch",)
    if settings.has_transactions:
        kinds += ("transaction",) * 4
    if settings.longest_ttl_milliseconds:
        kinds += ("brief", "brief", "lasting")
    return kinds


def parts_of(
    kind: str, key: str, payload: bytes, luck: random.Random, settings: SimulationSettings
) -> list[Part]:
    """Draw the parts of a command, but for the note at its end.

    Args:
        kind: one of `kinds_for`, but no transaction.
        key: the client's.
        payload: a unique one.
        luck: to draw from.
        settings: of the run.
    """
    path = Path((KEYS, key))
    match kind:
        case "watch":
            return [Part("watch", watch=_watch(key, luck, settings))]
        case "unwatch":
            watch = _watch(key, luck, settings)
            return [Part("unwatch", watch=watch)]
        case "name":
            name = ProcedureName(luck.choice(PROCEDURE_NAMES))
            is_name = luck.random() < 0.8  # noqa: PLR2004 - data in its place, now and then
            return [Part("put", _procedure_path(luck), encode_value(name) if is_name else payload)]
        case "brief":
            ttl = luck.randrange(1, settings.longest_ttl_milliseconds)
            return [Part("put", path, payload, ttl)]
        case "lasting":
            return [Part("put", path, payload, commands.FOREVER)]
        case _:
            keys = luck.sample(range(settings.keys), min(settings.keys, 3))
            return [
                Part("delete", at) if luck.random() < 0.3 else Part("put", at, payload)  # noqa: PLR2004 - three of ten
                for at in (Path((KEYS, str(one))) for one in keys)
            ]


def command_of(parts: list[Part]) -> bytes:
    """Give the bytes of a command that does all parts, or none."""
    return commands.encode(commands.batch([_operation(part) for part in parts]))


def _watch(key: str, luck: random.Random, settings: SimulationSettings) -> Watch:
    return Watch(
        f"trigger {luck.randrange(settings.triggers)}",
        luck.choice(SHAPES),
        key,
        tuple(kind for kind in KINDS if luck.random() < 0.7) or KINDS,  # noqa: PLR2004 - most
        luck.randrange(-1, 2),
        _procedure_path(luck),
    )


def _procedure_path(luck: random.Random) -> Path:
    return Path((PROCEDURES, str(luck.randrange(2))))


def _pattern(watch: Watch) -> Path | PathPattern:
    match watch.shape:
        case "key":
            return Path((KEYS, watch.key))
        case "keys":
            return resolve_path(f"/{KEYS}/*")
        case "folders":
            return resolve_path("/*")
        case "all":
            return resolve_path("/**")
        case "root":
            return Path(())
        case _:
            return resolve_path([STAR, IfAll(STAR, IfPayloadVersion(1))])


def _operation(part: Part) -> MachineOperation:
    watch = part.watch
    if watch is not None:
        if part.kind == "unwatch":
            return commands.unregister_trigger(watch.trigger_id)
        return commands.register_trigger(
            watch.trigger_id,
            _pattern(watch),
            watch.procedure,
            on_actions=watch.kinds,
            priority=watch.priority,
        )
    if part.kind == "delete":
        return commands.delete(part.path)
    return commands.put(part.path, part.payload, ttl_milliseconds=part.ttl_milliseconds)
