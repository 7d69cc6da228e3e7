"""Every error khepri raises, as one tree.

::

    KhepriError
    ├── MisuseError                      the caller's mistake; raised before anything is sent
    │   ├── InvalidPathError             (ValueError)
    │   ├── InvalidConditionError        (ValueError)
    │   ├── InvalidValueError            (ValueError)   a value msgpack cannot carry
    │   ├── ValueTooLargeError           (ValueError)
    │   ├── InvalidOptionError           (ValueError)   timeouts, store ids, settings
    │   ├── WrongTypeError               (TypeError)
    │   ├── ManyNodesDeniedError         (ValueError)   a pattern where one tree node is required
    │   └── ConditionTargetsParentError  (ValueError)
    ├── NodeNotFoundError                (KeyError)     there is no such tree node
    ├── MismatchingNodeError                            it is there, but a condition is not met
    ├── KeepWhileConditionsNotMetError
    ├── NoSuchServerError                               does not run here (Erlang's noproc)
    ├── NotAKhepriStoreError                            nobody started a store of that name here
    ├── JoinError
    ├── ClusterChangeNotPermittedError
    ├── AlreadyMemberError
    ├── NotAMemberError                                 a write was to be answered by no member
    ├── ProjectionExistsError                           the store has one of that name here
    ├── NoSuchProjectionError                           the store has none of that name here
    ├── NotDoneError                                    refused for another reason, see its facts
    ├── KhepriTimeoutError               (TimeoutError) out of time; on a write: unknown outcome
    ├── ServerStoppedError                              the server went away; outcome unknown
    ├── OverloadedError                                 too much is waiting; nothing was done
    ├── CommandFailedError                              it made the machine raise; no effect
    ├── ReadChangedError                                inside of transactions, which run again
    ├── NotAProcedureError                              data, or nothing, where one should be
    ├── ProcedureNotRegisteredError                     its name stands for nothing in this process
    ├── LockLostError                                   a lock was lost while it was held
    ├── ForkedProcessError                              the store belongs to the parent process
    ├── TransportError
    │   ├── ListenError                                 the address cannot be bound
    │   ├── CurveUnavailableError                       libzmq was built without CURVE
    │   └── CookieError                                 not 32 bytes, or its file is of no use
    │       ├── ExposedCookieError                      others can read or replace the cookie file
    │       └── CookieRequiredError                     beyond loopback, set a cookie on purpose
    └── StorageError
        ├── DataCorruptionError                         names file and offset; nothing was changed
        ├── UnknownFormatError                          a format version this release does not know
        ├── WrongDirectoryError                         the directory belongs to another node
        ├── DirectoryLockedError                        another Ra system uses the directory
        ├── DirectoryAccessError                        cannot create, read or write it
        ├── DiskFullError                               no space; service returns when space does
        └── DiskFailedError                             a write or fsync failed

``MisuseError`` is for mistakes in the program, all others are for things that happen.
Facts are attributes, so that a handler never parses a message.
"""

from __future__ import annotations

import pickle
from typing import Any, ClassVar


class KhepriError(Exception):
    """The root of everything khepri raises.

    Subclasses take their facts as keyword arguments and keep them as attributes.
    """

    _facts_that_may_lack: ClassVar[frozenset[str]] = frozenset()
    """They are None where nothing is known."""

    def __init__(self, message: str, **facts: object) -> None:
        """Keep the message and the facts.

        Args:
            message: one sentence for a person.
            facts: what a handler may want to look at; each becomes an attribute.
        """
        super().__init__(message)
        self.message = message
        self.facts: dict[str, Any] = facts

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - facts are of all types
        """Give the fact of that name."""
        facts = self.__dict__.get("facts", {})
        if name in facts or name in self._facts_that_may_lack:
            return facts.get(name)
        raise AttributeError(name)

    def __str__(self) -> str:
        """Give the message (KeyError would show it in quotes)."""
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Survive a copy: the facts are keyword arguments; what cannot be copied is described."""
        facts = {name: _portable(value) for name, value in self.facts.items()}
        notes = getattr(self, "__notes__", None)
        return (_rebuild, (type(self), self.message, facts), notes and {"__notes__": notes})


def _portable(value: object) -> object:
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever the user gave, and its own methods
        return repr(value)
    return value


def _rebuild(kind: type[KhepriError], message: str, facts: dict[str, object]) -> KhepriError:
    return kind(message, **facts)


class MisuseError(KhepriError):
    """The caller broke the contract; nothing was sent and nothing has changed."""


class InvalidPathError(MisuseError, ValueError):
    """A path or pattern is malformed. Facts: ``path``, ``component``."""


class InvalidConditionError(MisuseError, ValueError):
    """A condition is malformed. Facts: ``condition``, ``reason``."""


class InvalidValueError(MisuseError, ValueError):
    """A value cannot be stored. Facts: ``where`` (path to the element inside the value)."""


class ValueTooLargeError(MisuseError, ValueError):
    """An encoded command is above the limit. Facts: ``size_bytes``, ``limit_bytes``."""


class InvalidOptionError(MisuseError, ValueError):
    """An option or setting has an impossible value. Facts: ``option``, ``value``."""


class WrongTypeError(MisuseError, TypeError):
    """An argument has the wrong type. Facts: ``option``, ``value``."""


class ManyNodesDeniedError(MisuseError, ValueError):
    """A pattern stands where exactly one tree node is required. Facts: ``path``."""


class ConditionTargetsParentError(MisuseError, ValueError):
    """A condition names the parent component ``..``. Facts: ``path``, ``condition``."""


class NodeNotFoundError(KhepriError, KeyError):
    """A tree node on the way does not exist.

    Facts: ``node_name`` (the missing component), ``node_path`` (up to and including it),
    ``node_is_target`` (whether it is the last one), ``condition`` (if one was given, else None).
    Not raised when the tree node exists but fails a condition: see `MismatchingNodeError`.
    """


class MismatchingNodeError(KhepriError):
    """A tree node exists and a condition on it is not met.

    Facts: ``node_name``, ``node_path``, ``node_is_target``, ``node_props`` (data and
    ``payload_version``, so that a compare-and-swap loop needs no second read; empty if it comes
    from `touch`), ``condition``.
    """


class KeepWhileConditionsNotMetError(KhepriError):
    """A keep-while condition is already unmet when it is to be set; nothing was written.

    Facts: ``node_name``, ``node_path``, ``keep_while_reason``: the watched path or pattern, and
    the condition that is not met there, None if nothing is there.
    """


class NoSuchServerError(KhepriError):
    """The store does not run on this node.

    Facts: ``store_id``, ``reason``: why it gave up, None if it did not.
    """

    _facts_that_may_lack = frozenset({"store_id", "reason"})


class NotAKhepriStoreError(KhepriError):
    """No store of that name was started in this runtime. Facts: ``store_id``."""


class JoinError(KhepriError):
    """The remote node could not be joined; local data are untouched.

    Facts: ``store_id``, ``node``, ``reason``: for instance that nobody answers at the address, or
    that the cookie there differs.
    """


class ClusterChangeNotPermittedError(KhepriError):
    """Members cannot be changed now: another change is under way, or no majority would be left.

    Facts: ``reason``, ``leader``, None if unknown.
    """

    _facts_that_may_lack = frozenset({"reason", "leader"})


class AlreadyMemberError(KhepriError):
    """The server is a member already. Facts: ``reason``, ``leader``."""


class NotAMemberError(KhepriError):
    """A node has no member of the store: one that a write was to be answered by, or be removed.

    Nothing was sent if ``outcome`` is ``"not_applied"``. If it is ``"applied"``, the write was
    done, and the member was removed from the cluster meanwhile. Facts: ``store_id``, ``member``,
    ``members`` (nodes), ``outcome``.
    """


class ProjectionExistsError(KhepriError):
    """The store has a projection of that name on this node. Facts: ``store_id``, ``name``."""


class NoSuchProjectionError(KhepriError):
    """The store has no projection of that name on this node, or not any more.

    Not a KeyError: that says that a projection has no record of a key. Facts: ``store_id``,
    ``name``.
    """


class NotDoneError(KhepriError):
    """The server did not do what it was asked. Facts: ``reason`` (one word), ``leader``."""


class KhepriTimeoutError(KhepriError, TimeoutError):
    """The time budget is spent.

    On a write the outcome is unknown unless ``outcome`` says ``"not_applied"``, or ``"applied"``
    if only another member's answer is missing: the command may still be applied, once.

    Facts: ``operation``, ``timeout_seconds``, ``outcome``.
    """


class ServerStoppedError(KhepriError):
    """The server of the store stopped or crashed while the call was under way.

    On a write the outcome is unknown unless ``outcome`` says ``"not_applied"`` or ``"applied"``.
    Facts: ``store_id``, ``reason``, ``outcome``; the first two are None if unknown.
    """

    _facts_that_may_lack = frozenset({"store_id", "reason"})


class OverloadedError(KhepriError):
    """Too much waits; this command was refused and not applied.

    Facts: ``store_id``, ``waiting_bytes`` (with this command), ``limit_bytes``; None if it is not
    bytes of commands that are too many, but calls that wait.
    """

    _facts_that_may_lack = frozenset({"store_id", "waiting_bytes", "limit_bytes"})


class CommandFailedError(KhepriError):
    """A command made the machine raise; it had no effect, on any member. Facts: ``reason``."""


class ReadChangedError(KhepriError):
    """What a transaction has read is no longer so: nothing was done, and it runs again.

    So no function raises it; it is what the reply of a member stands for. Facts: ``pattern``.
    """


class NotAProcedureError(KhepriError):
    """A tree node has no stored procedure, but data or nothing. Facts: ``path``."""


class ProcedureNotRegisteredError(KhepriError):
    """A stored name stands for no function in this process. Facts: ``path``, ``procedure``."""


class LockLostError(KhepriError):
    """A lock that was acquired is not held any more, or not for certain.

    What was guarded by it (`khepri.Lock.guard`) is refused from the moment on in which somebody
    else could have it. Facts: ``path``, ``token``, ``reason``.
    """


class ForkedProcessError(KhepriError):
    """The store was opened by the parent process and cannot be used in a forked child."""


class TransportError(KhepriError):
    """This node cannot take part in a network. What peers do is counted, never raised."""


class ListenError(TransportError):
    """The listening address cannot be bound; nothing runs. Facts: ``address``, ``reason``."""


class CurveUnavailableError(TransportError):
    """The installed libzmq has no CURVE; khepri opens no socket without it."""


class CookieError(TransportError):
    """The cluster cookie cannot be used. Facts: ``source``, ``reason``; never the cookie."""


class ExposedCookieError(CookieError):
    """Somebody else can read or replace the cookie file, so it is refused. Facts: ``path``."""


class CookieRequiredError(CookieError):
    """An address beyond loopback needs a cookie that was set on purpose. Facts: ``address``."""


class StorageError(KhepriError):
    """Something about files. Facts: ``path`` and, where known, ``offset``."""


class DataCorruptionError(StorageError):
    """Stored bytes are not what was written; start-up is refused and nothing was changed.

    Facts: ``path``, ``offset``, ``reason``. A torn tail is not corruption: it is cut.
    """


class UnknownFormatError(StorageError):
    """A file has a format version this release does not know. Facts: ``path``, ``version``."""


class WrongDirectoryError(StorageError):
    """The directory belongs to another node. Facts: ``path``, ``expected``, ``found``."""


class DirectoryLockedError(StorageError):
    """Another Ra system uses the directory. Facts: ``path``, ``holder``."""


class DirectoryAccessError(StorageError):
    """The directory cannot be created, read or written.

    Facts: ``path``, ``reason``; if a write was refused for it, ``outcome`` as for `DiskFullError`.
    """


class DiskFullError(StorageError):
    """There is no space. Service returns by itself when space does.

    The command was not applied, unless ``outcome`` is ``"unknown"``: it was under way when the
    disk refused. Facts: ``path``, ``outcome``.
    """


class DiskFailedError(StorageError):
    """A write or fsync failed; nothing of that batch is acknowledged.

    Facts: ``path``, and ``outcome`` as for `DiskFullError`.
    """
