"""A store on a running node: read a page at a time, written a command at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khepri.actors.future import KhepriFuture
from khepri.batch import Batch
from khepri.calls import DEFAULT, check_size
from khepri.drawing import UNICODE
from khepri.errors import KhepriTimeoutError
from khepri.machine import commands
from khepri.machine.command_codes import pattern_to_plain
from khepri.machine.paths import Path, resolve_path
from khepri.machine.values import decode_value, encode_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from khepri.machine.paths import PathLike
    from khepri.machine.properties import NodeProperties
    from khepri.reading import A
    from khepri.tree_text import Style

    from .guest import Guest


class RemoteStore:
    """The functions of a store that the commands need; see `khepri.Store`.

    Each call that reads reads one immutable tree, however many pages it takes.
    """

    def __init__(self, guest: Guest) -> None:
        """Use the store that a guest asks about."""
        self._guest = guest

    def get(self, path: PathLike, /) -> object:
        """Give the data of one tree node, None if it has none."""
        return self._one(path).get("data")

    def has_data(self, path: PathLike, /) -> bool:
        """Tell whether a tree node carries data."""
        return "data" in self._one(path)

    def fold(
        self,
        pattern: PathLike,
        function: Callable[[Path, NodeProperties, A], A],
        accumulator: A,
        /,
    ) -> A:
        """Call the function for each match, as its page arrives."""
        for path, properties in self._walk(pattern, is_one=False):
            accumulator = function(path, properties, accumulator)
        return accumulator

    def lines(self, style: Style, /) -> Iterator[str]:
        """Give what the node shows of it; see `khepri.describing.store_lines`."""
        wanted = (style.limit, style.for_all, style.branches == UNICODE, style.paint.colours)
        for ((line,),) in self._rows("show_store", *wanted, style.paint.width):
            yield line

    def put(self, path: PathLike, data: object, /) -> None:
        """Create a tree node or replace its data."""
        self._write(commands.put(resolve_path(path), encode_value(data)))

    def delete(self, path: PathLike, /) -> None:
        """Remove a tree node and everything below it."""
        self._write(commands.delete(resolve_path(path)))

    def delete_many(self, pattern: PathLike, /) -> None:
        """Remove all matching tree nodes and everything below them."""
        self._write(commands.delete(resolve_path(pattern), many=True))

    def batch(self) -> Batch:
        """Begin a write batch; what each operation gives stays there."""

        def send(
            command: bytes,
            _timeout: object,
            async_: bool,  # noqa: FBT001 - as `Batch` calls it
            decode: Callable[[Any], Any],
        ) -> Any:  # noqa: ANN401 - a future, or what the command gives
            self._send(command)
            done: KhepriFuture[Any] = KhepriFuture(decode)
            done.set(None)
            return done if async_ else done.get()

        return Batch(send, DEFAULT)

    def _write(self, operation: commands.Operation) -> None:
        self._send(commands.encode(operation))

    def _send(self, command: bytes) -> None:
        check_size(command)
        try:
            self._guest.ask_for_long("write_store", command)
        except KhepriTimeoutError as error:
            text = f"{error.message}; it may still be applied"
            raise KhepriTimeoutError(text, **error.facts) from error

    def _one(self, path: PathLike) -> NodeProperties:
        return next(self._walk(path, is_one=True))[1]

    def _walk(self, pattern: PathLike, *, is_one: bool) -> Iterator[tuple[Path, NodeProperties]]:
        for names, payload in self._rows(
            "read_store", pattern_to_plain(resolve_path(pattern)), is_one
        ):
            yield Path(names), {} if payload is None else {"data": decode_value(payload)}

    def _rows(self, function: str, *arguments: object) -> Iterator[Any]:
        """Give the rows of all pages of a walk that a function begins."""
        walk_id, rows, goes_on = self._guest.ask_for_long(function, *arguments)
        yield from rows
        number = 0
        while goes_on:
            number += 1
            _, rows, goes_on = self._guest.ask_about_node("read_on", walk_id, number)
            yield from rows
