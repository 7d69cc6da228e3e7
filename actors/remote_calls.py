"""Calls from node to node: what they are called, and how they travel.

A call is ``[call id, function, arguments]``, its answer ``[call id, is error, value]``, all
plain. No call is repeated on the way: who needs an answer has a deadline and asks again itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from khepri import errors
from khepri.encoding import EncodingError, pack, unpack
from khepri.errors import KhepriError
from khepri.raft.plain import as_list, as_natural, as_sequence, as_text

CALL: Final = 16
"""Kind of a parcel with a call."""
ANSWER: Final = 17
"""Kind of a parcel with an answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that came from, or goes to, another node."""

    call_id: int
    function: str
    arguments: list[Any]

    def encode(self) -> bytes:
        """Give the body of a parcel."""
        return pack([self.call_id, self.function, self.arguments])

    @classmethod
    def decode(cls, body: bytes) -> Call:
        """Give back what `encode` was called on.

        Raises:
            EncodingError: it is something else.
        """
        call_id, function, arguments = as_list(unpack(body), 3, "call")
        return cls(
            as_natural(call_id, "call id"),
            as_text(function, "function"),
            list(as_sequence(arguments, "arguments")),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call: a value, or the error that was raised there."""

    call_id: int
    value: Any
    error: KhepriError | None

    def encode(self) -> bytes:
        """Give the body of a parcel."""
        if self.error is None:
            return pack([self.call_id, False, self.value])
        facts = [[name, fact] for name, fact in self.error.facts.items() if _is_plain(fact)]
        return pack([self.call_id, True, [_name(self.error), self.error.message, facts]])

    @classmethod
    def decode(cls, body: bytes) -> Answer:
        """Give back what `encode` was called on.

        Raises:
            EncodingError: it is something else.
        """
        call_id, is_error, value = as_list(unpack(body), 3, "answer")
        number = as_natural(call_id, "call id")
        if not is_error:
            return cls(number, value, None)
        name, message, facts = as_list(value, 3, "error")
        pairs = [as_list(pair, 2, "fact") for pair in as_sequence(facts, "facts")]
        known = {as_text(fact, "fact"): told for fact, told in pairs}
        if not known.keys().isdisjoint({"self", "message"}):
            raise EncodingError("a fact has a name that facts cannot have")
        error = _error(as_text(name, "error"), as_text(message, "message"), known)
        return cls(number, None, error)


def _is_plain(fact: object) -> bool:
    return fact is None or isinstance(fact, str | int | float)


def _name(error: KhepriError) -> str:
    """Give the class that the other side knows: the nearest in `khepri.errors`."""
    names = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__]
    return names[0]


def _error(name: str, message: str, facts: dict[str, object]) -> KhepriError:
    """Make the error of that name: of khepri's own classes only, whatever a peer says."""
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, KhepriError)):
        kind = KhepriError
    return kind(message, **facts)
