"""Components of patterns as plain values for msgpack, and back.

A name is itself, a special is a number, a condition is ``[code, argument]``. The codes are part of
the log's format: they are never given a second meaning. Decoding is strict, for it reads what
came over a wire: what is not exactly a component is an `EncodingError` and nothing else.
"""

from __future__ import annotations

from typing import Any, Final, cast

from khepri.encoding import EncodingError
from khepri.errors import MisuseError

from .comparisons import Comparison
from .components import MAX_CONDITION_DEPTH, Component, Condition
from .conditions import (
    IfAll,
    IfAny,
    IfChildListLength,
    IfChildListVersion,
    IfDataMatches,
    IfHasData,
    IfHasPayload,
    IfHasSproc,
    IfNameLike,
    IfNameMatches,
    IfNodeExists,
    IfNot,
    IfPathMatches,
    IfPayloadVersion,
)
from .data_pattern_codec import (
    comparison_from_plain,
    comparison_to_plain,
    data_pattern_from_plain,
    data_pattern_to_plain,
    list_of,
)
from .data_patterns import DataPattern
from .names import Special, problem_with_name
from .shown import shown

_SPECIAL_CODES: Final = {Special.ROOT: 0, Special.THIS: 1, Special.PARENT: 2}
_SPECIALS: Final = {code: special for special, code in _SPECIAL_CODES.items()}

_KINDS: Final[dict[int, Any]] = {
    1: IfNameMatches,
    2: IfPathMatches,
    3: IfNameLike,
    4: IfNodeExists,
    5: IfHasPayload,
    6: IfHasData,
    7: IfHasSproc,
    8: IfPayloadVersion,
    9: IfChildListVersion,
    10: IfChildListLength,
    11: IfDataMatches,
    12: IfNot,
    13: IfAll,
    14: IfAny,
}
_COUNTING: Final[tuple[Any, ...]] = (IfPayloadVersion, IfChildListVersion, IfChildListLength)
_CODES: Final = {kind: code for code, kind in _KINDS.items()}


def component_to_plain(component: Component) -> Any:  # noqa: ANN401 - what msgpack carries
    """Give the plain form of a component."""
    if isinstance(component, str):
        return component
    if isinstance(component, Special):
        return _SPECIAL_CODES[component]
    kind = type(component)
    return [_CODES[kind], _argument_to_plain(getattr(component, kind.__match_args__[0]))]


def _argument_to_plain(argument: object) -> Any:  # noqa: ANN401 - what msgpack carries
    """Give the plain form of what a condition was made with: every condition has one argument."""
    if isinstance(argument, tuple):  # members, or the parts of a glob
        parts = cast("tuple[Component, ...]", argument)
        return [component_to_plain(part) for part in parts]
    if isinstance(argument, Condition | Special):
        return component_to_plain(argument)
    if isinstance(argument, Comparison):
        return comparison_to_plain(argument)
    if isinstance(argument, DataPattern):
        return data_pattern_to_plain(argument)
    return argument  # a text, a flag, a number or nothing


def component_from_plain(plain: object) -> Component:
    """Give back a component from its plain form.

    Raises:
        EncodingError: it is not the plain form of a component.
    """
    try:
        return _component(plain, MAX_CONDITION_DEPTH)
    except MisuseError as error:
        raise EncodingError(f"not a component: {error}") from error


def _component(plain: object, levels_left: int) -> Component:
    if type(plain) is str:
        problem = problem_with_name(plain)
        if problem is not None:
            raise EncodingError(f"not a name: {problem}")
        return plain
    if type(plain) is int and plain in _SPECIALS:
        return _SPECIALS[plain]
    code, argument = list_of(plain, length=2)
    if type(code) is not int or code not in _KINDS or levels_left == 0:
        raise EncodingError(f"not a condition: {shown(plain)}")
    return _condition(_KINDS[code], argument, levels_left - 1)


def _condition(kind: Any, argument: object, levels_left: int) -> Condition:  # noqa: ANN401 - from _KINDS
    """Make a condition; its own checks see to flags, numbers and expressions."""
    if kind is IfAll or kind is IfAny:
        members = [_component(member, levels_left) for member in list_of(argument)]
        condition: Condition = kind(*members)
    elif kind is IfNot:
        condition = IfNot(_component(argument, levels_left))
    elif kind is IfDataMatches:
        condition = IfDataMatches(data_pattern_from_plain(argument))
    elif kind is IfNameLike:
        condition = IfNameLike(tuple(list_of(argument)))
    elif kind in _COUNTING and type(argument) is not int:
        condition = kind(comparison_from_plain(argument))
    else:
        condition = kind(argument)
    return condition
