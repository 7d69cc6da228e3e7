"""How a lock is laid out in the tree, and who has it. For threads as for tasks.

At the lock's path is the number of all who have come for it so far. Who comes adds one to it, and
makes, in the same step, a tree node of that number below ``line``, its *place*, with a time to
live. The lowest place has the lock. So the lock passes on in the order in which they came, and the
number is a fencing token: nobody who comes later, or gets it later, has a lower one.

A name has something random behind the number: if somebody deletes the lock and the numbers begin
at 1 again, no old place is taken for a new one.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from khepri.actors.server_clock import server_clock
from khepri.errors import InvalidPathError, KhepriError, LockLostError, MismatchingNodeError
from khepri.machine.conditions import IfNameMatches
from khepri.machine.paths import Path
from khepri.machine.unix_paths import STAR
from khepri.machine.values import encode_value

from .kept import Kept, checked_ttl
from .reading import concrete_path

if TYPE_CHECKING:
    from khepri.actors.future import KhepriFuture
    from khepri.machine.paths import PathLike
    from khepri.machine.properties import NodeProperties

    from .batch import Batch
    from .reading import Reader
    from .transaction import Transaction
    from .writing import Writer

LINE: Final = "line"
"""The name of the tree node below which the places are."""

DIGITS: Final = 19
"""Of the largest number that can be counted to, so that names are in the order of numbers."""


GONE: Final = "it has expired, or somebody has deleted it"
"""Why a lock is lost whose place is not there."""


class Place(NamedTuple):
    """A place in the line.

    Attributes:
        path: where it is.
        number: of its holder among all who have come.
        began: by `server_clock`, when it was about to be asked for.
    """

    path: Path
    number: int
    began: float


class Line:
    """The line of those who have or want one lock."""

    __slots__ = ("_data", "path", "places", "ttl_seconds")

    def __init__(self, path: PathLike, ttl: float, data: object) -> None:
        """Check the arguments of a lock.

        Raises:
            MisuseError: one of them is impossible.
        """
        self.path = concrete_path(path)
        if not tuple(self.path):
            raise InvalidPathError("a lock has a tree node of its own, not the root", path=path)
        self.places = Path((*self.path, LINE))
        self.ttl_seconds = checked_ttl(ttl)
        encode_value(data)  # a mistake is told now
        self._data = data

    def stand(
        self,
        transaction: Transaction,
        mark: str,
        only_if_free: bool,  # noqa: FBT001
    ) -> Place | None:
        """Take a place; None if that is wanted only at the head of the line and it is not.

        Args:
            transaction: in which it is done.
            mark: what the name of the place ends with.
            only_if_free: whether to take none behind others.

        Raises:
            MismatchingNodeError: something else is at the path.
        """
        if only_if_free and transaction.count([*self.places, STAR]):
            return None
        began = server_clock()
        try:
            number = transaction.increment(self.path)
        except MismatchingNodeError as error:
            raise self._no_lock(error.facts) from error
        if number < 1:
            raise self._no_lock({"node_path": self.path, "node_is_target": True})
        place = Path((*self.places, f"{number:0{DIGITS}}-{mark}"))
        transaction.create(place, self._data, ttl=self.ttl_seconds)
        return Place(place, number, began)

    def all_of(self, mark: str) -> list[Any]:
        """Give the pattern of the places whose names end with a mark."""
        return [*self.places, IfNameMatches(f"-{mark}$")]

    def ahead_of(self, place: Path, tree: Reader) -> Path | None:
        """Give the place next ahead in a tree, None at the head of the line.

        Raises:
            PlaceLostError: it is not in the line.
        """
        name = place.name
        names = self._names(tree)
        if name not in names:
            raise PlaceLostError
        before = max((other for other in names if other < name), default=None)
        return None if before is None else Path((*self.places, before))

    def first(self, tree: Reader) -> Path | None:
        """Give the place of who has the lock; None if nobody has."""
        name = min(self._names(tree), default=None)
        return None if name is None else Path((*self.places, name))

    def _names(self, tree: Reader) -> list[str]:
        # Not the data: they may be large, and nobody asks for them.
        def names_of(_path: Path, line: NodeProperties, _nobody: list[str]) -> list[str]:
            names: list[str] = line["child_names"]
            return names

        return tree.fold(self.places, names_of, [], props_to_return=["child_names"])

    def _no_lock(self, facts: dict[str, Any]) -> MismatchingNodeError:
        return MismatchingNodeError(
            f"something else than a lock is at {self.path}: data that are no count of its"
            " acquisitions",
            **facts,
        )


class PlaceLostError(Exception):
    """A place is not in the line any more."""


def new_mark() -> str:
    """Give what tells one attempt from all others."""
    return secrets.token_hex(8)


class Hold(Kept):
    """A place in the line that is kept alive; at its head it is the lock.

    Attributes:
        place: where it is, and its number.
    """

    def __init__(self, store: Writer, line: Line, place: Place) -> None:
        """Keep a place that was just taken."""
        super().__init__(line.ttl_seconds, place.began)
        self.place = place
        self._store = store
        self._lock_path = line.path

    def __repr__(self) -> str:
        """Show where."""
        return f"<the place {self.place.path}>"

    def give_back(self) -> None:
        """Leave the line, without waiting; if nobody can be reached, it ends by itself."""
        self.end()
        self._delete()

    def end_in(self, batch: Batch) -> None:
        """Leave the line, if this place is still in it."""
        batch.require(self.place.path)
        batch.delete(self.place.path)

    def lost_error(self, reason: str | None = None) -> LockLostError:
        """Make the error for a lock that is not held any more."""
        reason = reason or self.lost_because or "it was not renewed in time"
        return LockLostError(
            f"the lock {self._lock_path} with the token {self.place.number} is lost: {reason}",
            path=self._lock_path,
            token=self.place.number,
            reason=reason,
        )

    def _delete(self) -> None:
        with suppress(KhepriError):
            self._store.delete(self.place.path, async_=True)

    def _send(self) -> KhepriFuture[Any]:
        return self._store.touch(self.place.path, ttl=self.ttl_seconds, async_=True)

    def _refused(self, now: float) -> None:  # noqa: ARG002 - as the base has it
        self._lose(GONE)

    def _lose(self, reason: str) -> None:
        """For good: it would be another acquisition."""
        self.lost_because = reason
        self.is_over = True
        self._delete()
