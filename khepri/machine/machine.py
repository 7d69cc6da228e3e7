"""The replicated machine: entries in, replies and a new tree out.

Given the same entries, every member has the same state: nothing here reads a clock, draws a random
number or depends on the order of a hash. Here is how an entry is applied; what operations do is in
``operations.py``, who may apply what is in ``sessions.py``, how a machine is written down is in
``snapshot_format.py``.

A command that raises has no effect and is answered with an error, on every member alike. Not so
running out of memory or stack, which is one member's trouble: those are passed on, and the machine
must then be thrown away and made again from the log.

It is long, since entry, group, command and batch go through the same working tree, and what may be
taken back at which of these steps has to be seen at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from khepri.encoding import EncodingError, unpack

from . import commands
from .command_codes import PUT, PUT_FAMILY
from .edit import Edit
from .entries import decode_entry
from .expiry import expire
from .machine_version import FIRST_VERSION, SINCE
from .names import MAX_PATH_COMPONENTS
from .operations import OPERATIONS
from .prepared import Prepared, TakesLongError, ensure_brief, may_be_brief
from .replies import (
    DONE,
    batch_failed,
    batch_reply,
    command_failed,
    command_raised,
    is_error,
    value_reply,
)
from .sessions import (
    DEFAULT_EXPIRY_MILLISECONDS,
    NO_SESSION,
    GroupResult,
    GroupStatus,
    SessionTable,
)
from .snapshot_format import Snapshot
from .snapshot_reader import read_chunks
from .snapshot_writer import write_chunks
from .state import EMPTY_STATE, TreeState
from .working_tree import WorkingTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .commands import Operation
    from .replies import Reply
    from .state import Change

_SESSION_ID_FACTOR: Final = 1 << 16
"""Session id = log index x this + place in the entry: unique, since an index is applied once."""


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """What all members of a store must agree on.

    Attributes:
        session_expiry_milliseconds: a session silent for longer, in log time, is forgotten.
    """

    session_expiry_milliseconds: int = DEFAULT_EXPIRY_MILLISECONDS


class View:
    """What readers see: an immutable tree and the place in the log it stands for.

    Attributes:
        root: the root node; any thread may walk it, for as long as it likes.
        state: the tree with its keep-while index.
        index: the log index applied last.
        term: its term.
    """

    __slots__ = ("index", "root", "state", "term")

    def __init__(self, state: TreeState, index: int, term: int) -> None:
        """Publish a state; nothing is changed afterwards."""
        self.root = state.root
        self.state = state
        self.index = index
        self.term = term

    def covers(self, index: int, term: int) -> bool:
        """Tell whether this is the tree of a place in the log or of a later one.

        Terms only grow along the log, so a later term is a later place whatever its index.
        """
        return self.term > term or (self.term == term and self.index >= index)


class Applied:
    """What came of one entry.

    Attributes:
        groups: one result per group of the entry, in order.
        changes: the change events, in operation order and then path order; empty unless
            `Machine.wants_changes`.
        expired_sessions: ids of sessions this entry's time has ended.
        garbled: the entry's payload was not an entry; it had no effect.
    """

    __slots__ = ("changes", "expired_sessions", "garbled", "groups")

    def __init__(
        self,
        groups: Sequence[GroupResult],
        changes: Sequence[Change],
        expired_sessions: Sequence[int] = (),
        *,
        garbled: bool = False,
    ) -> None:
        """Keep the parts."""
        self.groups = groups
        self.changes = changes
        self.expired_sessions = expired_sessions
        self.garbled = garbled


class Machine:
    """One member's copy of a store's replicated state.

    Entries are applied by one thread, in log order. `view` may be read by any thread at any time:
    it is replaced as a whole, once per entry.

    Attributes:
        version: of the machine, in effect for the next entry (``machine_version.py``).
        view: the published tree.
        wants_changes: whether `Applied.changes` is filled; local, not replicated. Filling it makes
            plain puts about twice as dear.
    """

    __slots__ = (
        "_changes",
        "_is_preparing",
        "_prepared",
        "_sessions",
        "_settings",
        "_time_milliseconds",
        "_working",
        "version",
        "view",
        "wants_changes",
    )

    def __init__(self, settings: MachineSettings | None = None) -> None:
        """Begin with an empty tree at index 0."""
        self._settings = settings or MachineSettings()
        self._sessions = SessionTable(self._settings.session_expiry_milliseconds)
        self._working = WorkingTree(EMPTY_STATE)
        self._time_milliseconds: int = 0
        self._changes: list[Change] = []
        self._prepared: Prepared | None = None
        self.version = FIRST_VERSION
        self._is_preparing = False
        self.view = View(EMPTY_STATE, 0, 0)
        self.wants_changes = False

    @property
    def time_milliseconds(self) -> int:
        """The log's time: the latest time any applied entry carried. It never goes back."""
        return self._time_milliseconds

    @property
    def next_expiry_milliseconds(self) -> int | None:
        """When the next tree node expires, in log time; None if none ever does.

        Nodes expire with the first entry of that time or later. Somebody has to make one: the
        leader proposes an entry without groups when its clock has come so far.
        """
        return self._working.seal().watch_index.expiries.next_milliseconds

    def has_session(self, session_id: int) -> bool:
        """Tell whether a session is open, as an origin asks after a snapshot was installed."""
        return session_id in self._sessions.sessions

    def apply(self, index: int, term: int, data: bytes) -> Applied:
        """Apply one committed entry of commands and publish the tree it leads to.

        Args:
            index: its log index, above all applied before.
            term: its term.
            data: its payload (``entries.encode_entry``).
        """
        if index <= self.view.index:
            raise AssertionError("entries are applied once, in order")
        prepared, self._prepared = self._prepared, None
        if (
            prepared is not None
            and prepared.data is data
            and prepared.lists_changes == self.wants_changes
        ):
            return self._take_prepared(prepared, index, term)
        self._ensure_whole()
        try:
            time_milliseconds, groups = decode_entry(data)
        except EncodingError:
            self.skip(index, term)
            return Applied((), (), garbled=True)
        now = self._time_milliseconds = max(self._time_milliseconds, time_milliseconds)
        next_expiry = self.next_expiry_milliseconds
        if next_expiry is not None and next_expiry <= now:
            self._expire()
        expired = self._sessions.expire(now)
        results: list[GroupResult] = []
        opened = 0
        for session_id, first, acknowledged, encoded in groups:
            if session_id == NO_SESSION:
                replies = self._open_sessions(index, opened, encoded)
                opened += len(encoded)
                results.append(GroupResult(NO_SESSION, 0, replies, GroupStatus.APPLIED))
            else:
                results.append(
                    self._sessions.apply(
                        session_id, first, acknowledged, encoded, self._execute, now
                    )
                )
        self.view = View(self._working.seal(), index, term)
        return Applied(results, self._take_changes(), expired)

    def prepare(self, data: bytes) -> None:
        """Work out what an entry will do if it is the next one to be applied (`prepared.py`).

        Only if it is simple and brief. Nothing is changed by it, whatever comes of the entry.
        Raises nothing, unless there is no memory or stack even for going back to what was before;
        then the machine serves for nothing more, whether the caller hears of it or not.

        Args:
            data: its payload; `apply` has to be given the same object.
        """
        self._ensure_whole()
        self._prepared = None
        try:
            time_milliseconds, groups = decode_entry(data)
            session_id, first, _acknowledged, encoded = groups[0]
        except (EncodingError, IndexError, MemoryError, RecursionError):
            return  # `apply` will say so
        working, time_before = self._working, self._time_milliseconds
        now = max(time_before, time_milliseconds)
        before = working.seal()
        next_expiry = before.watch_index.expiries.next_milliseconds
        if (
            len(groups) != 1
            or (next_expiry is not None and next_expiry <= now)
            or not self._sessions.goes_on(session_id, first, now)
            or not may_be_brief(before, encoded)
        ):
            return
        self._time_milliseconds = now
        self._is_preparing = True
        try:
            replies = self._execute(encoded)
            state = working.seal()
        except (MemoryError, RecursionError, TakesLongError):
            return  # of no consequence yet
        finally:
            self._time_milliseconds = time_before
            working.go_back(before)
            changes = self._take_changes()
            self._is_preparing = False  # the last: see `_ensure_whole`
        self._prepared = Prepared(
            data, groups[0], now, replies, state, changes, self.wants_changes
        )

    def _ensure_whole(self) -> None:
        """Raise if `prepare` has not come to its end: the tree may be one that nobody decided."""
        if self._is_preparing:
            raise MemoryError("there was none for going back to the tree before")

    def _take_prepared(self, prepared: Prepared, index: int, term: int) -> Applied:
        """Make true what was prepared: since then nothing was applied, or it would be gone."""
        now = self._time_milliseconds = prepared.time_milliseconds
        self._working.replace(prepared.state)
        session_id, first, acknowledged, encoded = prepared.group
        result = self._sessions.apply(
            session_id, first, acknowledged, encoded, prepared.execute, now
        )
        self.view = View(prepared.state, index, term)
        return Applied((result,), prepared.changes)

    def _take_changes(self) -> Sequence[Change]:
        if not self._changes:
            return ()
        changes, self._changes = self._changes, []
        return changes

    def skip(self, index: int, term: int, raised_to: int | None = None) -> None:
        """Take note of a committed entry without commands: a no-op or a membership change.

        Args:
            index: its log index.
            term: its term.
            raised_to: the version of the machine that is in effect behind it, if it says one.
        """
        if index <= self.view.index:
            raise AssertionError("entries are applied once, in order")
        self._prepared = None
        if raised_to is not None:
            self.version = max(self.version, raised_to)
        self.view = View(self.view.state, index, term)

    def snapshot_chunks(self) -> Iterator[bytes]:
        """Capture the state as it is now and give it as chunks (``snapshot_format.py``).

        Call it in the applying thread, between two entries. The chunks may then be taken in any
        thread while the machine goes on; they are made one by one, so that taking them can be
        paced.
        """
        self._ensure_whole()
        view = self.view
        return write_chunks(
            Snapshot(
                self._working.seal(),
                view.index,
                view.term,
                self._time_milliseconds,
                self._sessions.to_plain(),
            )
        )

    @classmethod
    def restore(
        cls,
        chunks: Iterable[bytes],
        settings: MachineSettings | None = None,
        index: int | None = None,
        version: int = FIRST_VERSION,
    ) -> Machine:
        """Make a machine from a snapshot.

        Args:
            chunks: what `snapshot_chunks` gave, on this or on another member.
            settings: as for a new machine.
            index: the log index that it is said to stand for, if anything says so.
            version: the version of the machine there.

        Raises:
            DataCorruptionError: the chunks are not a whole snapshot.
            UnknownFormatError: they are of a format this release does not know.
        """
        snapshot = read_chunks(chunks, index)
        machine = cls(settings)
        machine.version = version
        machine._sessions.load_plain(snapshot.sessions)
        machine._working = WorkingTree(snapshot.state)
        machine._time_milliseconds = snapshot.time_milliseconds
        machine.view = View(snapshot.state, snapshot.applied_index, snapshot.applied_term)
        return machine

    def _open_sessions(self, index: int, opened: int, encoded: Sequence[bytes]) -> list[Reply]:
        """Open a session per command; the place in the log makes the id unique for ever."""
        replies: list[Reply] = []
        for position, command in enumerate(encoded, opened):
            try:
                code, token = unpack(command)
            except (EncodingError, TypeError, ValueError):
                code = token = None
            if code != commands.OPEN_SESSION or type(token) is not bytes:
                replies.append(command_failed("only sessions are opened without a session"))
                continue
            session_id = index * _SESSION_ID_FACTOR + position
            self._sessions.open(session_id, self._time_milliseconds)
            replies.append(value_reply([token, session_id]))
        return replies

    def _execute(self, encoded: Sequence[bytes]) -> list[Reply]:
        """Apply commands one by one; whatever they hold, this gives one reply for each."""
        replies: list[Reply] = []
        working = self._working
        put_in_place = working.put if len(encoded) > 1 else working.put_alone
        wants_changes = self.wants_changes
        for command in encoded:
            try:
                operation = unpack(command)
                if operation[0] == PUT and not wants_changes:
                    _code, names, payload = operation
                    "".join(names)  # raises for anything but text, at the speed of C
                    if (
                        type(payload) is bytes
                        and names.__class__ is list
                        and payload
                        and len(names) <= MAX_PATH_COMPONENTS
                        and put_in_place(names, payload, command)
                    ):
                        replies.append(DONE)
                        continue
                replies.append(self._run(operation))
            except (MemoryError, RecursionError, TakesLongError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop a member
                self._recover()
                replies.append(command_raised(error))
        return replies

    def _recover(self) -> None:
        """Throw away what a command that raised may have left half done, and nothing else."""
        working = self._working
        for command in working.recover():
            operation = unpack(command) if isinstance(command, bytes) else command
            if operation[0] == PUT:
                working.put(operation[1], operation[2], command)
            else:
                working.put_family(operation[1], operation[2], operation[3], command)
        working.seal()

    def _expire(self) -> None:
        """Remove what has expired, as one operation before all others of the entry."""
        edit = self._edit(self._working.seal())
        expire(edit)
        self._take_over(edit)

    def _run(self, operation: Operation) -> Reply:
        """Run one decoded operation on a sealed state; an error leaves that state in place."""
        state = self._working.seal()
        if operation[0] == commands.BATCH:
            return self._run_batch(state, operation)
        if self._is_preparing:
            ensure_brief(operation)  # plain puts, which mostly do not come by here, are
        run = OPERATIONS.get(operation[0])
        # Before its version is in effect, a command is to this release what it is to older ones.
        if run is None or SINCE.get(operation[0], FIRST_VERSION) > self.version:
            return command_failed(f"unknown command {operation[0]!a:.40}")
        edit = self._edit(state)
        reply = run(edit, *operation[1:])
        if not is_error(reply):
            self._take_over(edit)
        return reply

    def _edit(self, state: TreeState) -> Edit:
        return Edit(state, self._time_milliseconds, lists_descendants=self.wants_changes)

    def _take_over(self, edit: Edit) -> None:
        """Go on from what an operation has led to, and owe what its triggers ask for.

        Those are the triggers that were there before it.
        """
        before, after = self._working.seal(), edit.state()
        triggers = before.triggers
        if triggers.by_id or self.wants_changes:
            changes = edit.changes()
            if triggers.by_id and changes:
                fired = triggers.fired(changes, before.root, after.root)
                after = TreeState(after.root, after.watch_index, fired)
            if self.wants_changes:
                self._changes.extend(changes)
        self._working.replace(after)

    def _run_batch(self, state: TreeState, operation: Operation) -> Reply:
        """Run all operations or none."""
        _code, operations = operation
        change_count = len(self._changes)
        replies: list[Reply] = []
        put_in_place, wants_changes = self._working.put, self.wants_changes
        try:
            for part in self._each(operations, replies):
                if part[0] == PUT and not wants_changes:  # as in `_execute`
                    _code, names, payload = part
                    "".join(names)
                    if (
                        type(payload) is bytes
                        and names.__class__ is list
                        and payload
                        and len(names) <= MAX_PATH_COMPONENTS
                        and put_in_place(names, payload, part)
                    ):
                        replies.append(DONE)
                        continue
                if part[0] == commands.BATCH:
                    raise TypeError("a batch in a batch")  # noqa: TRY301 - undone below like any
                reply = self._run(part)
                if is_error(reply):
                    break
                replies.append(reply)
            else:
                return DONE if not any(replies) else batch_reply(replies)
            outcome = batch_failed(len(replies), reply)
        except BaseException:
            self._go_back(state, change_count)
            raise
        self._go_back(state, change_count)
        return outcome

    def _each(self, parts: Sequence[Operation], replies: list[Reply]) -> Iterator[Operation]:
        """Give the operations of a batch; do puts to a family at once, if they can be."""
        for part in parts:
            if part[0] != PUT_FAMILY:
                yield part
                continue
            _code, family, names, payloads = part
            if not type(family) is type(names) is type(payloads) is list:
                raise TypeError("a family is lists")  # the two ways would read others differently
            "".join((*family, *names))  # as in `_execute`
            b"".join(payloads)
            if (
                all(payloads)
                and 0 < len(names) == len(payloads)
                and len(family) < MAX_PATH_COMPONENTS
                and not self.wants_changes
                and self._working.put_family(family, names, payloads, part)
            ):
                replies += [DONE] * len(names)
            else:
                for name, payload in zip(names, payloads, strict=True):
                    yield [PUT, [*family, name], payload]

    def _go_back(self, state: TreeState, change_count: int) -> None:
        self._working.go_back(state)
        del self._changes[change_count:]
