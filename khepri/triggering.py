"""Stored procedures and triggers of a `Store`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, overload

from khepri.machine import commands
from khepri.machine.paths import Path, PathPattern, resolve_path
from khepri.machine.triggers import KINDS

from .calls import DEFAULT
from .options import READ, TIMEOUT, check_unknown
from .procedures import find_procedure
from .reading import concrete_path
from .writing import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Unpack

    from khepri.actors.future import KhepriFuture
    from khepri.machine.machine import View
    from khepri.machine.paths import PathLike

    from .options import ReadOptions, TimeoutOption


class Trigger(NamedTuple):
    """A trigger as it is registered.

    Attributes:
        path_pattern: of the tree nodes whose changes count.
        procedure_path: where the name of its procedure is stored, if it is.
        on_actions: which of ``create``, ``update`` and ``delete`` count.
        priority: of what one write asks for, the highest is called first.
        calls_owed: how many calls it has asked for that are not known to be made.
    """

    path_pattern: Path | PathPattern
    procedure_path: Path
    on_actions: tuple[str, ...]
    priority: int
    calls_owed: int


class Triggering(Writer):
    """The part of a `Store` that has to do with procedures."""

    __slots__ = ()

    def run_sproc(
        self, path: PathLike, args: Sequence[object] = (), **options: Unpack[ReadOptions]
    ) -> Any:  # noqa: ANN401 - the function decides
        """Call a stored procedure, in this thread.

        It may do what it likes, as any function. For one that reads and writes as a whole, see
        `transaction`.

        Args:
            path: where its name is stored (`register_procedure` says what that is).
            args: what it is called with.
            options: as for `get`.

        Returns:
            what it returns.

        Raises:
            NodeNotFoundError, MismatchingNodeError: as for `get`.
            NotAProcedureError: there is no stored procedure, but data or nothing.
            ProcedureNotRegisteredError: its name stands for nothing in this process.
            BaseException: what it raises.
        """
        return find_procedure(self.get(path, **options), path)(*args)

    @overload
    def register_trigger(
        self,
        trigger_id: str,
        path_pattern: PathLike,
        procedure_path: PathLike,
        *,
        on_actions: Iterable[str] | None = None,
        priority: int = 0,
        async_: Literal[False] = False,
        **options: Unpack[TimeoutOption],
    ) -> None: ...
    @overload
    def register_trigger(
        self,
        trigger_id: str,
        path_pattern: PathLike,
        procedure_path: PathLike,
        *,
        on_actions: Iterable[str] | None = None,
        priority: int = 0,
        async_: Literal[True],
        **options: Unpack[TimeoutOption],
    ) -> KhepriFuture[None]: ...
    @overload
    def register_trigger(
        self,
        trigger_id: str,
        path_pattern: PathLike,
        procedure_path: PathLike,
        *,
        on_actions: Iterable[str] | None = None,
        priority: int = 0,
        async_: bool,
        **options: Unpack[TimeoutOption],
    ) -> KhepriFuture[None] | None: ...
    def register_trigger(
        self,
        trigger_id: str,
        path_pattern: PathLike,
        procedure_path: PathLike,
        *,
        on_actions: Iterable[str] | None = None,
        priority: int = 0,
        async_: bool = False,
        **options: Unpack[TimeoutOption],
    ) -> KhepriFuture[None] | None:
        """Have a stored procedure called after changes.

        It is called with a `khepri.types.TriggerEvent`, in a thread of the node whose member
        leads, one call after the other for all stores there, in the order of what has happened.
        It may take its time, read and write this store and others; writers do not wait for it.
        What it raises is logged, and counts as done.

        What is to be called is part of the store: it outlives any member. Each call is made at
        least once; after a change of the leader it may be that one is made again. Only what
        happens after the registration counts. A registration of the same id takes the place of
        the one before; what that has asked for is still called.

        The name of the procedure is read from the tree when something happens; if none is there,
        nothing is called. If that name stands for nothing in the process that leads, the calls
        wait until it does (`register_procedure`), or until another member leads.

        A write that a trigger is for costs each member several times as much as another one.

        Args:
            trigger_id: a name of 1 to 255 bytes.
            path_pattern: of the tree nodes whose changes count. A condition is asked of a tree
                node after the change, or before if it is deleted; one that reaches deeper, like
                `IfPathMatches`, of each level it takes in.
            procedure_path: of the tree node with the `ProcedureName`; it may come later.
            on_actions: which of ``"create"``, ``"update"`` and ``"delete"`` count; all if left
                out. Tree nodes that are made on the way to another one, or go as a consequence or
                because their time is over, count too; and it is an update of a tree node if
                children of it come or go.
            priority: of what one write asks for, the highest is called first.
            async_: return a future at once.
            options: ``timeout``, the seconds for the whole call.

        Raises:
            WrongTypeError, InvalidOptionError: an impossible id, kind of change or priority.
        """
        check_unknown("register_trigger", cast("dict[str, Any]", options), TIMEOUT)
        operation = commands.register_trigger(
            trigger_id,
            resolve_path(path_pattern),
            concrete_path(procedure_path),
            on_actions=on_actions,
            priority=priority,
        )
        done: KhepriFuture[None] | None = self._send(
            commands.encode(operation), options.get("timeout", DEFAULT), async_
        )
        return done

    @overload
    def unregister_trigger(
        self,
        trigger_id: str,
        *,
        async_: Literal[False] = False,
        **options: Unpack[TimeoutOption],
    ) -> bool: ...
    @overload
    def unregister_trigger(
        self, trigger_id: str, *, async_: Literal[True], **options: Unpack[TimeoutOption]
    ) -> KhepriFuture[bool]: ...
    @overload
    def unregister_trigger(
        self, trigger_id: str, *, async_: bool, **options: Unpack[TimeoutOption]
    ) -> KhepriFuture[bool] | bool: ...
    def unregister_trigger(
        self, trigger_id: str, *, async_: bool = False, **options: Unpack[TimeoutOption]
    ) -> KhepriFuture[bool] | bool:
        """Remove a trigger, with the calls that are owed on its account. Beyond Khepri.

        Args:
            trigger_id: as it was registered.
            async_: return a future at once.
            options: ``timeout``, the seconds for the whole call.

        Returns:
            whether there was one.

        Raises:
            WrongTypeError, InvalidOptionError: an impossible id.
        """
        check_unknown("unregister_trigger", cast("dict[str, Any]", options), TIMEOUT)
        was_there: KhepriFuture[bool] | bool = self._send(
            commands.encode(commands.unregister_trigger(trigger_id)),
            options.get("timeout", DEFAULT),
            async_,
        )
        return was_there

    def triggers(self, **options: Unpack[ReadOptions]) -> dict[str, Trigger]:
        """Give all triggers, by id. Beyond Khepri. Options and errors as for `view`."""
        check_unknown("triggers", cast("dict[str, Any]", options), READ)
        return listed_triggers(self._view(options))


def listed_triggers(view: View) -> dict[str, Trigger]:
    """Give the triggers of a published tree, by id in order."""
    triggers = view.state.triggers
    owed = dict.fromkeys(triggers.by_id, 0)
    for action in triggers.actions.values():
        if action.trigger_id in owed:
            owed[action.trigger_id] += 1
    listed: dict[str, Trigger] = {}
    for trigger_id in sorted(owed):
        pattern, kinds, priority, procedure_path = triggers.by_id[trigger_id]
        listed[trigger_id] = Trigger(
            resolve_path(pattern),
            Path.of_valid(procedure_path),
            tuple(kind for bit, kind in enumerate(KINDS) if kinds >> bit & 1),
            priority,
            owed[trigger_id],
        )
    return listed
