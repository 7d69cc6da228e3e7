"""Ephemeral tree nodes as the process that has them knows them, for threads as for tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from khepri.actors import fork_guard
from khepri.actors.server_clock import server_clock
from khepri.errors import InvalidPathError, KhepriError, MismatchingNodeError, MisuseError
from khepri.machine.conditions import IfAll, IfDataMatches
from khepri.machine.values import encode_value

from .keeping import keeper
from .kept import RENEWALS_PER_TTL, Kept, checked_ttl
from .lock_line import new_mark
from .reading import concrete_path

if TYPE_CHECKING:
    from khepri.actors.future import KhepriFuture
    from khepri.machine.paths import Path, PathLike

    from .batch import Batch
    from .writing import Writer

OWNER: Final = "owner"
"""The name of the child that tells whose an ephemeral tree node is. Its data may be changed by
anybody, and two programs may have put equal ones, so neither data nor versions tell."""


class Claim:
    """Whose an ephemeral tree node is, and the batches about it. For threads as for tasks."""

    __slots__ = ("_data", "_mark", "_owner", "path", "ttl_seconds")

    def __init__(self, path: PathLike, data: object, ttl: float) -> None:
        """Check the arguments.

        Raises:
            MisuseError: one of them is impossible.
        """
        self.path = concrete_path(path)
        if not tuple(self.path):
            raise InvalidPathError("the root is always there", path=path)
        self.ttl_seconds = checked_ttl(ttl)
        self._data = data
        encode_value(data)  # a mistake is told now
        self._owner = [*self.path, OWNER]
        self.become_another()

    def become_another(self) -> None:
        """Own nothing that was made before, as in a forked child."""
        self._mark = new_mark()

    def create(self, batch: Batch) -> None:
        """Make the tree node, if nothing is there."""
        batch.create(self.path, self._data, ttl=self.ttl_seconds)
        batch.create(self._owner, self._mark)

    def touch(self, batch: Batch) -> None:
        """Let its time to live begin anew, if it is ours."""
        self._require(batch)
        batch.touch(self.path, ttl=self.ttl_seconds)

    def delete(self, batch: Batch) -> None:
        """Delete it, if it is ours."""
        self._require(batch)
        batch.delete(self.path)

    def occupied(self, error: KhepriError) -> MismatchingNodeError:
        """Make the error for a place that somebody else has."""
        return MismatchingNodeError(
            f"somebody else has {self.path}: an ephemeral tree node is made where nothing is",
            **error.facts,
        )

    def _require(self, batch: Batch) -> None:
        batch.require([*self.path, IfAll(OWNER, IfDataMatches(self._mark))])


class Presence(Kept):
    """An ephemeral tree node that is kept alive, and put again when it was lost.

    Attributes:
        losses: how often it was lost.
    """

    def __init__(self, store: Writer, claim: Claim, began: float) -> None:
        """Keep one that was just made."""
        super().__init__(claim.ttl_seconds, began)
        self.losses = 0
        self._store = store
        self._claim = claim
        self._is_to_be_made = False

    def __repr__(self) -> str:
        """Show where."""
        return f"<the presence of {self._claim.path}>"

    def _send(self) -> KhepriFuture[Any]:
        batch = self._store.batch()
        (self._claim.create if self._is_to_be_made else self._claim.touch)(batch)
        return batch.commit(async_=True)

    def _renewed(self) -> None:
        super()._renewed()
        self._is_to_be_made = False
        # Late news say nothing about now; then it is touched again at once.
        if server_clock() < self.valid_until:
            self.lost_because = None

    def _refused(self, now: float) -> None:
        if self.lost_because is None:
            self._lose("it has expired, or somebody has deleted it")
        if self._is_to_be_made:  # somebody is there
            self._due = now + self.ttl_seconds / RENEWALS_PER_TTL
        else:
            self._due = now
        self._is_to_be_made = not self._is_to_be_made

    def _lose(self, reason: str) -> None:
        self.lost_because = reason
        self.losses += 1


class Announced:
    """An ephemeral tree node as this process knows it; the base of both `EphemeralNode`."""

    def __init__(self, path: PathLike, data: object, ttl: float, store: Writer) -> None:
        """Describe it.

        Args:
            path: of one tree node, where nothing is.
            data: what it has.
            ttl: seconds after which it goes if this program is not heard of.
            store: which writes, without waiting.

        Raises:
            MisuseError: an impossible argument.
        """
        self._claim = Claim(path, data, ttl)
        self._store = store
        self._presence: Presence | None = None
        fork_guard.watch(self)

    def __repr__(self) -> str:
        """Show where, and whether it is there."""
        state = "there" if self.is_there else "lost"
        return f"<{type(self).__name__} {self.path}, {state if self._presence else 'not started'}>"

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._claim.path

    @property
    def is_there(self) -> bool:
        """Whether it is there and ours, for certain as far as clocks can be trusted.

        Asks nobody: if somebody deletes it, this is seen at the next renewal.
        """
        presence = self._presence
        return presence is not None and presence.is_valid

    @property
    def losses(self) -> int:
        """How often it was lost, or not known to be there, since the last `start`."""
        presence = self._presence
        return 0 if presence is None else presence.losses

    def forget_parent_process(self) -> None:
        """In a forked child: it is the parent's."""
        if self._presence is not None:
            self._presence.abandon()
        self._claim.become_another()

    def _check_not_started(self) -> None:
        if self._presence is not None:
            raise MisuseError(f"{self!r} is started already")

    def _keep(self, began: float) -> None:
        presence = Presence(self._store, self._claim, began)
        keeper.add(presence)
        self._presence = presence

    def _end(self) -> bool:
        """Keep it alive no longer; tell whether it is to be deleted."""
        presence, self._presence = self._presence, None
        if presence is None or presence.is_over:
            return False
        presence.end()
        return True
