"""A server's side of telling what has changed: what it has applied goes to the store's outlet.

A store to which nobody listens pays two attribute look-ups per turn for it. While somebody does,
the machine notes changes, which makes plain puts about twice as dear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .change_outlet import note

if TYPE_CHECKING:
    from collections.abc import Iterable

    from khepri.machine.machine import Machine, View
    from khepri.machine.state import Change

    from .access import StoreAccess
    from .change_outlet import Changed


class ChangeSource:
    """What one server has applied and not published yet. One thread."""

    def __init__(self, access: StoreAccess) -> None:
        """Begin with a server that has published nothing yet."""
        self._access = access
        self._since: View | None = None
        self._changed: Changed | None = None
        self._offered: View | None = None

    def begin(self, machine: Machine) -> None:
        """Entries are about to be applied."""
        wants = self._access.outlet.wants_changes
        machine.wants_changes = wants
        if wants and self._since is None:
            self._since, self._changed = machine.view, {}
        elif not wants:
            self._changed = None

    def applied(self, changes: Iterable[Change]) -> None:
        """An entry was applied, with these changes."""
        if self._changed is None:
            return
        for path, old, new, _reason in changes:
            note(self._changed, path, old, new)

    def publish(self, view: View) -> None:
        """Replace the tree that readers see, and have it told."""
        access = self._access
        access.publish_view(view)
        if not access.outlet.listens:
            if self._since is not None:
                self._since = self._changed = None
            return
        # One of a restarted server that is not as far yet as the one before is not published.
        if view is not self._offered and access.view is view:
            self._offered = view
            access.outlet.offer(self._since, self._changed, view)
        self._since = self._changed = None
