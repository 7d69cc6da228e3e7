"""Export from and import into a store on a running node: page by page, write by write."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from khepri.actors.future import KhepriFuture
from khepri.calls import check_size, result
from khepri.errors import KhepriTimeoutError
from khepri.export_format import Origin
from khepri.exported_node import ExportedNode
from khepri.import_commands import Found
from khepri.machine.command_codes import pattern_to_plain
from khepri.machine.keep_while import Expiry, lifetime
from khepri.machine.paths import Path, resolve_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from khepri.exporting import Exported, ExportTask

    from .guest import Guest


def export_from(
    guest: Guest, task: ExportTask, pattern: str | None, look: Callable[[int], object]
) -> Exported:
    """Export what a node has; it is one immutable tree, however many pages it takes."""
    plain = None if pattern is None else pattern_to_plain(resolve_path(pattern))
    walk_id, rows, goes_on, *place = guest.ask_for_long("export_store", plain)

    def nodes() -> Iterator[ExportedNode]:
        number, page, has_more = 0, rows, goes_on
        yield from map(ExportedNode.from_plain, page)
        while has_more:
            number += 1
            _, page, has_more = guest.ask_about_node("read_on", walk_id, number)
            yield from map(ExportedNode.from_plain, page)

    index, term, time_milliseconds = place
    return task.write(nodes(), Origin(guest.store_id, index, term, time_milliseconds), look)


class GuestTarget:
    """A store on a running node, for an import. Each write is waited for."""

    is_near = False

    def __init__(self, guest: Guest) -> None:
        """Write to the store that a guest asks about."""
        self._guest = guest
        self._ahead_milliseconds: int = guest.ask("log_time") - _now_milliseconds()

    def time_milliseconds(self) -> int:
        """Give the log's time there."""
        return _now_milliseconds() + self._ahead_milliseconds

    def find(self, path: Path) -> Found | None:
        """Ask what is there."""
        page = self._guest.ask_for_long("export_store", list(path))
        for node in map(ExportedNode.from_plain, page[1]):
            expiry: Expiry | None = None
            if node.expires_at_milliseconds is not None:
                expiry = Expiry(node.expires_at_milliseconds, node.ttl_milliseconds or 0)
            kept = lifetime(node.keep_while, expiry, is_implicit=node.is_implicit)
            return Found(node.payload, kept)
        return None

    def send(self, command: bytes) -> KhepriFuture[Any]:
        """Send a command, and wait for its reply."""
        check_size(command)
        try:
            reply = self._guest.ask_for_long("apply_in_store", command)
        except KhepriTimeoutError as error:
            text = f"{error.message}; it may still be applied"
            raise KhepriTimeoutError(text, **error.facts) from error
        future: KhepriFuture[Any] = KhepriFuture(result)
        future.set(reply)
        return future

    def wait(self, future: KhepriFuture[Any]) -> object:
        """Give what a reply says."""
        return future.get()


def _now_milliseconds() -> int:
    return time.monotonic_ns() // 1_000_000
