"""A transaction: a function that reads and writes, as if nobody else did meanwhile.

It is optimistic. The function runs in its caller's thread on the tree as this node knows it. What
it reads is noted, with a fingerprint of what it saw; what it writes, it alone sees. Both go as one
command, in their order. The machine, the same on all members, does the writes only if each read
would still see the same (`commands.check`); otherwise nothing has happened, and the function runs
again on the newer tree. So no code is ever sent, and no member waits for any function.

Here is one run of a function; that it is run again is in `transacting.py`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from khepri.errors import (
    InvalidOptionError,
    KeepWhileConditionsNotMetError,
    KhepriError,
    MismatchingNodeError,
    MisuseError,
    NodeNotFoundError,
)
from khepri.machine import commands, queries
from khepri.machine.components import Condition
from khepri.machine.conditions import IfPathMatches
from khepri.machine.parts import pattern_from_plain
from khepri.machine.paths import Path, PathPattern, resolve_path
from khepri.machine.properties import (
    CHILD_LIST_LENGTH,
    CHILD_LIST_VERSION,
    CHILD_NAMES,
    DEFAULT_PROPERTIES,
    EXPIRES_AT,
    HAS_PAYLOAD,
    KEPT_WHILE,
    PAYLOAD,
    known_path,
)
from khepri.machine.replies import NOT_EXPIRING, is_error, raise_or_return, to_error
from khepri.machine.trial import Trial

from .compound import CompoundWrite
from .options import listed, returned_properties
from .reading import Reader, concrete_path, one_node

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Unpack

    from khepri.machine.machine import View
    from khepri.machine.paths import PathLike
    from khepri.machine.properties import NodeProperties
    from khepri.machine.replies import Reply

    from .options import CountOptions, FoldOptions, ManyOptions, ReadOptions

T = TypeVar("T")
A = TypeVar("A")

_PRESENCE: Final = 0
"""The properties that matter if only it is asked whether a tree node is there."""

_ALL: Final = (
    DEFAULT_PROPERTIES
    | HAS_PAYLOAD
    | CHILD_LIST_VERSION
    | CHILD_LIST_LENGTH
    | CHILD_NAMES
    | KEPT_WHILE
)
"""All that a condition may look at."""

_ROOT: Final = Path(())
_CHILDREN_OF_THE_ROOT: Final = resolve_path("/*")


class Transaction(CompoundWrite, Reader):
    """The tree as the function of `Store.transaction` sees it, with its own writes.

    It has the functions of `Store` that read one tree node or many, without the options that say
    what to wait for, and those that write, without the options that say how to send. What cannot
    be done is raised at once; the function may catch it and go on. Valid until the function ends,
    in its thread.
    """

    __slots__ = ("_is_over", "_noted", "_operations", "_trial", "_writes")

    def __init__(self, store_id: str, view: View) -> None:
        """Begin on a published tree; `Store.transaction` does."""
        super().__init__(store_id)
        self._trial = Trial(view)
        self._operations: list[commands.Operation] = []
        self._noted: set[bytes] = set()  # since the last write
        self._writes = 0
        self._is_over = False
        self._stores = cast("Any", {store_id: self._trial})  # here the short cut of `get` looks

    def __repr__(self) -> str:
        """Show of what store it is, and how much is in it."""
        return f"<transaction on {self._store_id!r} with {self._writes} writes>"

    def end(self) -> bytes | None:
        """Let nothing more be done; give the command that does it all, None without writes."""
        self._is_over = True
        return commands.encode(commands.batch(self._operations)) if self._writes else None

    # --- reads

    def get(self, path: PathLike, **options: Unpack[ReadOptions]) -> Any:  # noqa: ANN401
        """See `Store.get`."""
        with self._noting(one_node(path), PAYLOAD):
            return super().get(path, **options)

    def get_or(self, path: PathLike, default: object, **options: Unpack[ReadOptions]) -> Any:  # noqa: ANN401
        """See `Store.get_or`."""
        with self._noting(one_node(path), PAYLOAD):
            return super().get_or(path, default, **options)

    def exists(self, path: PathLike, **options: Unpack[ReadOptions]) -> bool:
        """See `Store.exists`."""
        with self._noting(one_node(path), _PRESENCE):
            return super().exists(path, **options)

    def has_data(self, path: PathLike, **options: Unpack[ReadOptions]) -> bool:
        """See `Store.has_data`."""
        with self._noting(one_node(path), HAS_PAYLOAD):
            return super().has_data(path, **options)

    def is_sproc(self, path: PathLike, **options: Unpack[ReadOptions]) -> bool:
        """See `Store.is_sproc`."""
        with self._noting(one_node(path), PAYLOAD):
            return super().is_sproc(path, **options)

    def get_many(self, pattern: PathLike, **options: Unpack[ManyOptions]) -> dict[Path, Any]:
        """See `Store.get_many`."""
        with self._noting_many(pattern, PAYLOAD, options):
            return super().get_many(pattern, **options)

    def get_many_or(
        self, pattern: PathLike, default: object, **options: Unpack[ManyOptions]
    ) -> dict[Path, Any]:
        """See `Store.get_many_or`."""
        with self._noting_many(pattern, PAYLOAD, options):
            return super().get_many_or(pattern, default, **options)

    def count(self, pattern: PathLike, **options: Unpack[CountOptions]) -> int:
        """See `Store.count`; the members look at all that is counted when they check it."""
        with self._noting_many(pattern, _PRESENCE, options):
            return super().count(pattern, **options)

    def is_empty(self, **options: Unpack[ReadOptions]) -> bool:
        """See `Store.is_empty`."""
        with self._noting(_CHILDREN_OF_THE_ROOT, _PRESENCE):
            return super().is_empty(**options)

    def fold(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties, A], A],
        accumulator: A,
        **options: Unpack[FoldOptions],
    ) -> A:
        """See `Store.fold`. What the function writes, the walk does not see."""
        with self._noting_many(pattern, _looked_at(options), options):
            return super().fold(pattern, function, accumulator, **options)

    def foreach(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties], object],
        **options: Unpack[FoldOptions],
    ) -> None:
        """See `Store.foreach`. What the function writes, the walk does not see."""
        with self._noting_many(pattern, _looked_at(options), options):
            super().foreach(pattern, function, **options)

    def map(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties], T],
        **options: Unpack[FoldOptions],
    ) -> dict[Path, T]:
        """See `Store.map`. What the function writes, the walk does not see."""
        with self._noting_many(pattern, _looked_at(options), options):
            return super().map(pattern, function, **options)

    def filter(
        self,
        pattern: PathLike,
        predicate: Callable[[Path, NodeProperties], object],
        **options: Unpack[FoldOptions],
    ) -> dict[Path, Any]:
        """See `Store.filter`. What the function writes, the walk does not see."""
        with self._noting_many(pattern, _looked_at(options) | PAYLOAD, options):
            return super().filter(pattern, predicate, **options)

    # --- writes that give something

    def increment(self, path: PathLike, by: int = 1) -> int:
        """Do a `Store.increment` and give the new number, which thereby counts as read."""
        place = concrete_path(path)
        operation = commands.increment(place, by)
        self._note(place, PAYLOAD)
        # The reply, and not another read: by its own new number the tree node may be gone.
        return cast("int", raise_or_return(self._run(operation)))

    # --- inside

    def _add(self, operation: commands.Operation) -> None:
        self._run(operation)

    def _run(self, operation: commands.Operation) -> Reply:
        self._check_is_on()
        reply = self._trial.run(operation)
        if reply is not None and is_error(reply):
            error = to_error(reply)
            self._note_reason(error, pattern_from_plain(list(operation[1])))
            if reply[0] == NOT_EXPIRING:  # so on both trees there is nothing to tell
                self._note(error.facts["node_path"], EXPIRES_AT)
            if operation[0] in {commands.COPY, commands.MOVE}:
                self._note(PathPattern([*operation[1], IfPathMatches()]), _PRESENCE)
                self._note(operation[2], _PRESENCE)
            raise error
        self._operations.append(operation)
        self._noted.clear()
        self._writes += 1
        return reply

    def _view(self, options: ReadOptions) -> View:
        for option in ("timeout", "favor", "condition"):
            if option in options:
                raise InvalidOptionError(
                    f"the tree of a transaction waits for nothing, so {option}= has no meaning",
                    option=option,
                    value=options.get(option),
                )
        return self._trial.view

    @contextmanager
    def _noting(self, pattern: Path | PathPattern, mask: int) -> Generator[None]:
        """Note what is read, before; and what it is that a refusal tells, should there be one."""
        self._note(pattern, mask)
        try:
            yield
        except (NodeNotFoundError, MismatchingNodeError) as error:
            self._note_reason(error, pattern)
            raise

    @contextmanager
    def _noting_many(
        self, pattern: PathLike, mask: int, options: CountOptions | ManyOptions | FoldOptions
    ) -> Generator[None]:
        if options.get("include_root_props", False):
            self._note(_ROOT, mask)
        with self._noting(resolve_path(pattern), mask):
            yield

    def _note_reason(self, error: KhepriError, pattern: Path | PathPattern) -> None:
        """Note what an error tells of the tree: whoever catches it goes by that.

        It tells too how far the walk came, so all that it passed is noted with what stopped it.
        """
        if self._is_over:
            return  # somebody's own call after the end has failed
        if isinstance(error, KeepWhileConditionsNotMetError):
            self._note(resolve_path(error.facts["keep_while_reason"][0]), _ALL)
        place = error.facts.get("node_path")
        if isinstance(place, Path):  # not if it is an error that the function itself has made
            self._note(place, _ALL)
            self._note(known_path(place[:-1]), _PRESENCE)
        for end, component in enumerate(pattern, 1):
            if isinstance(component, Condition):
                self._note(resolve_path(pattern[:end]), _PRESENCE)
        self._note(pattern, _PRESENCE if isinstance(place, Path) else PAYLOAD)

    def _note(self, pattern: Path | PathPattern, mask: int) -> None:
        self._check_is_on()
        place = commands.encode(commands.check(pattern, mask, b""))
        if place not in self._noted:
            self._noted.add(place)
            seen = queries.fingerprint(self._trial.view.root, pattern, mask)
            self._operations.append(commands.check(pattern, mask, seen))

    def _check_is_on(self) -> None:
        if self._is_over:
            raise MisuseError(
                "the function of this transaction has ended, and the transaction too"
            )


def _looked_at(options: FoldOptions) -> int:
    if "props_to_return" in options:
        options["props_to_return"] = listed(options["props_to_return"])
    mask = returned_properties(options.get("props_to_return"))
    if mask & EXPIRES_AT:
        raise InvalidOptionError(
            "when a tree node expires is not known inside a transaction",
            option="props_to_return",
            value=options.get("props_to_return"),
        )
    return mask
