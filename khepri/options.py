"""The keyword options of the data functions, and their checks.

An unknown option is a `TypeError`, a known one with an impossible value a `MisuseError`; both
before anything is sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

from khepri.errors import InvalidOptionError, WrongTypeError
from khepri.machine.commands import FOREVER, MAX_TTL_MILLISECONDS
from khepri.machine.properties import DEFAULT_PROPERTIES, property_mask
from khepri.raft.types import ServerId

if TYPE_CHECKING:
    from khepri.machine.commands import KeepWhileOption
    from khepri.machine.paths import PathLike

    from .calls import Timeout

T = TypeVar("T")

Favor = Literal["low_latency", "consistency"]
"""What a read prefers: to be answered at once from this node, or to be linearizable."""


Priority = Literal["normal", "low"]
"""Which writes go first: low ones go behind all normal ones that wait, a few at a time."""


@dataclass(frozen=True, slots=True)
class AppliedAt:
    """A place in the log; see `applied`."""

    index: int
    term: int


def applied(index: int, term: int) -> AppliedAt:
    """Give the condition that a place in the log is applied on the node that reads.

    ``condition=applied(view.index, view.term)`` makes a read on one node see all that a view on
    another node had seen. A later term counts as a later place.

    Raises:
        WrongTypeError, InvalidOptionError: not a place.
    """
    for option, number in (("index", index), ("term", term)):
        if type(number) is not int:
            raise WrongTypeError(
                f"{option} is a whole number, not {number!r:.100}", option=option, value=number
            )
        if number < 0:
            raise InvalidOptionError(
                f"{option} is not negative, as {number} is", option=option, value=number
            )
    return AppliedAt(index, term)


class ReadOptions(TypedDict, total=False):
    """Options of every read.

    Keys:
        timeout: seconds for the whole call.
        favor: see `Favor`; ``"low_latency"`` if left out.
        condition: wait until this place in the log is applied here (`applied`), then read; it
            takes the place of ``favor``.
    """

    timeout: Timeout
    favor: Favor
    condition: AppliedAt | None


class CountOptions(ReadOptions, total=False):
    """Options of counting.

    Keys:
        include_root_props: the root is meant too if the pattern begins with a condition.
        expect_specific_node: the pattern must name one tree node, which must be there.
    """

    include_root_props: bool
    expect_specific_node: bool


class ManyOptions(CountOptions, total=False):
    """Options of reads of many tree nodes.

    Keys:
        limit: give so many matches at most.
        start_after: give only matches behind this path, in path order: the last one of the page
            before.
    """

    limit: int | None
    start_after: PathLike | None


class FoldOptions(ManyOptions, total=False):
    """Options of reads that give node properties to a function.

    Keys:
        props_to_return: names of properties, see `AdvancedStore`.
    """

    props_to_return: Iterable[str] | None


class TimeoutOption(TypedDict, total=False):
    """The option of everything that may wait.

    Keys:
        timeout: seconds for the whole call.
    """

    timeout: Timeout


class TransactionOptions(TimeoutOption, total=False):
    """Options of transactions.

    Keys:
        favor: see `Favor`; ``"low_latency"`` if left out.
    """

    favor: Favor


class WriteOptions(TimeoutOption, total=False):
    """Options of every write.

    Keys:
        reply_from: which member must have applied the write when the call returns, beside the one
            here: ``"local"`` (the default) no other, ``"leader"`` the one that leads, a
            `khepri.ServerId` or the name of its node that member. A local read there then sees
            the write.
        priority: see `Priority`; ``"normal"`` if left out.
    """

    reply_from: str | ServerId
    priority: Priority


class ManyWriteOptions(WriteOptions, total=False):
    """Options of writes to many tree nodes.

    Keys:
        include_root_props: the root is meant too if the pattern begins with a condition.
    """

    include_root_props: bool


class PutOptions(WriteOptions, total=False):
    """Options of writes that can create or change a payload.

    Keys:
        keep_while: paths to conditions under which the written tree node lives; an empty mapping
            removes them.
        ttl: seconds that the written tree node lives from now on; ``math.inf`` takes its time to
            live away. Left out: as it was, no end for a new one.
    """

    keep_while: KeepWhileOption | None
    ttl: float | None


class PutManyOptions(PutOptions, ManyWriteOptions, total=False):
    """Options of writes that can create or change many payloads."""


class AdvancedReadOptions(ReadOptions, total=False):
    """Options of reads that return node properties.

    Keys:
        props_to_return: names of properties, see `AdvancedStore`.
    """

    props_to_return: Iterable[str] | None


class AdvancedManyOptions(FoldOptions, total=False):
    """Options of reads that return the properties of many tree nodes."""


class AdvancedWriteOptions(WriteOptions, total=False):
    """Options of writes that return node properties.

    Keys:
        props_to_return: names of properties, see `AdvancedStore`.
        return_indirect_deletes: whether to tell of nodes removed as a consequence.
    """

    props_to_return: Iterable[str] | None
    return_indirect_deletes: bool


class AdvancedPutOptions(AdvancedWriteOptions, PutOptions, total=False):
    """Options of writes that can create or change a payload and return node properties."""


class AdvancedManyWriteOptions(AdvancedWriteOptions, ManyWriteOptions, total=False):
    """Options of writes to many tree nodes that return node properties."""


class AdvancedPutManyOptions(AdvancedPutOptions, ManyWriteOptions, total=False):
    """Options of writes that can create or change many payloads and return node properties."""


READ = frozenset({"timeout", "favor", "condition"})
COUNT = READ | {"include_root_props", "expect_specific_node"}
MANY = COUNT | {"limit", "start_after"}
FOLD = MANY | {"props_to_return"}
TIMEOUT = frozenset({"timeout"})
TRANSACTION = frozenset({"timeout", "favor"})
WRITE = frozenset({"timeout", "reply_from", "priority"})
MANY_WRITE = WRITE | {"include_root_props"}
PUT = WRITE | {"keep_while", "ttl"}
PUT_MANY = PUT | {"include_root_props"}
TELLING = frozenset({"props_to_return", "return_indirect_deletes"})
"""What the writes of `AdvancedStore` take beside those of `Store`."""


def check_unknown(function: str, options: dict[str, Any], known: frozenset[str]) -> None:
    """Refuse options a function does not have.

    Raises:
        TypeError: there is one; names it.
    """
    unknown = options.keys() - known
    if unknown:
        option = min(unknown)
        raise WrongTypeError(
            f"{function}() got an unexpected keyword argument {option!r}; "
            f"here it takes {', '.join(sorted(known))}",
            option=option,
            value=options[option],
        )


def check_options(function: str, options: Any, known: frozenset[str]) -> None:  # noqa: ANN401
    """Refuse options a write does not have, and impossible values of those that say how to send.

    Raises:
        TypeError: an unknown option.
        InvalidOptionError: see `check_sending`.
    """
    check_unknown(function, options, known)
    if is_special(options):
        check_sending(options)


def is_special(options: WriteOptions) -> bool:
    """Tell whether a write is to be sent in another way than the default (`sending.py`)."""
    return "reply_from" in options or "priority" in options


class Lifetime(TypedDict):
    """What a put says about the life of the tree node, as the machine's commands take it."""

    keep_while: KeepWhileOption | None
    ttl_milliseconds: int | None


def lifetime_options(options: PutOptions) -> Lifetime:
    """Take what a put says about the life of the tree node out of its options.

    Raises:
        MisuseError: an impossible ``ttl``.
    """
    return {
        "keep_while": options.get("keep_while"),
        "ttl_milliseconds": ttl_milliseconds(options.get("ttl")),
    }


def is_consistent(favor: object) -> bool:
    """Tell whether a read is to be linearizable.

    Raises:
        InvalidOptionError: neither of the two favors.
    """
    if favor not in ("low_latency", "consistency"):
        raise InvalidOptionError(
            f"favor is 'low_latency' or 'consistency', not {favor!r}", option="favor", value=favor
        )
    return favor == "consistency"


def returned_properties(names: object) -> int:
    """Give the mask of the properties to return; the default if None.

    Raises:
        WrongTypeError: not names.
        InvalidOptionError: there is no such property.
    """
    if names is None:
        return DEFAULT_PROPERTIES
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise WrongTypeError(
            f"props_to_return is a list of property names, not {names!r}",
            option="props_to_return",
            value=names,
        )
    return property_mask(list(names))  # pyright: ignore[reportUnknownArgumentType]


def listed(names: T) -> T | list[Any]:
    """Give names that are looked at more than once: an iterator is used up by that."""
    return list(names) if isinstance(names, Iterator) else names  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def ttl_milliseconds(ttl: Any) -> int | None:  # noqa: ANN401 - checked here
    """Give a time to live as the machine counts it; None for "as it was".

    Raises:
        WrongTypeError: not a number.
        InvalidOptionError: not above zero, not a number of seconds, or above a hundred years.
    """
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise WrongTypeError(f"ttl is in seconds, not {ttl!r:.100}", option="ttl", value=ttl)
    if ttl == math.inf:
        return FOREVER
    if not 0 < ttl * 1000 <= MAX_TTL_MILLISECONDS:
        raise InvalidOptionError(
            f"ttl is above 0 seconds and at most a hundred years, not {ttl!r:.100}",
            option="ttl",
            value=ttl,
        )
    return math.ceil(ttl * 1000)


def checked_limit(limit: object) -> int | None:
    """Give how many matches are wanted at most; None for all.

    Raises:
        WrongTypeError: not a whole number.
        InvalidOptionError: below 1.
    """
    if limit is None:
        return None
    if type(limit) is not int:
        raise WrongTypeError(
            f"limit is a whole number, not {limit!r:.100}", option="limit", value=limit
        )
    if limit < 1:
        raise InvalidOptionError(f"limit is 1 or more, not {limit}", option="limit", value=limit)
    return limit


def check_sending(options: WriteOptions) -> None:
    """Refuse what a write cannot promise.

    Raises:
        WrongTypeError: ``reply_from`` is neither a text nor a `ServerId`.
        InvalidOptionError: it is an empty text, or ``priority`` is neither of the two.
    """
    reply_from: object = options.get("reply_from", "local")
    if not isinstance(reply_from, str | ServerId):
        raise WrongTypeError(
            "reply_from is 'local', 'leader', a ServerId or the name of a node, not "
            f"{reply_from!r:.100}",
            option="reply_from",
            value=reply_from,
        )
    if not reply_from:
        raise InvalidOptionError(
            "reply_from is empty, which is no node's name", option="reply_from", value=reply_from
        )
    priority: object = options.get("priority", "normal")
    if priority not in ("normal", "low"):
        raise InvalidOptionError(
            f"priority is 'normal' or 'low', not {priority!r:.100}",
            option="priority",
            value=priority,
        )


def checked_condition(condition: object) -> AppliedAt:
    """Give the place in the log a read waits for.

    Raises:
        WrongTypeError: it was not made by `applied`.
    """
    if not isinstance(condition, AppliedAt):
        raise WrongTypeError(
            f"the condition of a read is applied(index, term), not {condition!r:.100}",
            option="condition",
            value=condition,
        )
    return condition
