"""The keyword options of the data functions, and their checks.

An unknown option is a `TypeError`, a known one with an impossible value a `MisuseError`; both
before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from khepri.errors import InvalidOptionError, WrongTypeError
from khepri.machine.properties import DEFAULT_PROPERTIES, property_mask

if TYPE_CHECKING:
    from khepri.machine.commands import KeepWhileOption

    from .calls import Timeout

Favor = Literal["low_latency", "consistency"]
"""What a read prefers: to be answered at once from this node, or to be linearizable."""


class ReadOptions(TypedDict, total=False):
    """Options of every read.

    Keys:
        timeout: seconds for the whole call.
        favor: see `Favor`; ``"low_latency"`` if left out.
    """

    timeout: Timeout
    favor: Favor


class ManyOptions(ReadOptions, total=False):
    """Options of reads of many tree nodes.

    Keys:
        include_root_props: the root is meant too if the pattern begins with a condition.
    """

    include_root_props: bool


class FoldOptions(ReadOptions, total=False):
    """Options of reads that give node properties to a function.

    Keys:
        props_to_return: names of properties, see `AdvancedStore`.
    """

    props_to_return: Iterable[str] | None


class WriteOptions(TypedDict, total=False):
    """Options of every write.

    Keys:
        timeout: seconds for the whole call.
    """

    timeout: Timeout


class PutOptions(WriteOptions, total=False):
    """Options of writes that can create or change a payload.

    Keys:
        keep_while: paths to conditions under which the written tree node lives.
    """

    keep_while: KeepWhileOption | None


class AdvancedReadOptions(FoldOptions, total=False):
    """Options of reads that return node properties."""


class AdvancedManyOptions(FoldOptions, ManyOptions, total=False):
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


def check_unknown(function: str, options: dict[str, Any], known: frozenset[str]) -> None:
    """Refuse options a function does not have.

    Raises:
        TypeError: there is one; names it.
    """
    unknown = options.keys() - known
    if unknown:
        raise TypeError(
            f"{function}() got an unexpected keyword argument {min(unknown)!r}; "
            f"it takes {', '.join(sorted(known))}"
        )


def is_consistent(favor: object) -> bool:
    """Tell whether a read is to be linearizable.

    Raises:
        InvalidOptionError: neither of the two favors.
    """
    if favor not in {"low_latency", "consistency"}:
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
