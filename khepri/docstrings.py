"""One text for a method and for the functions that do the same.

The functions of `khepri`, `khepri.adv` and `khepri.aio` say in the source only which method they
stand for, since what is told twice comes apart. `help` shows the method's text.
"""

from __future__ import annotations

import re
from inspect import cleandoc, iscoroutinefunction
from types import FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_STORE_ID = "``store_id`` says which store is meant; left out, the default one."
_ARGUMENT = re.compile(r"^ +async_: .*\n", re.MULTILINE)
_AWAITED = "Here it is awaited, and takes no ``async_``."


def tell_as_methods(
    functions: Mapping[str, object], told_by: type, *, but: frozenset[str] = frozenset()
) -> None:
    """Give functions the docstrings of the methods of the same name.

    Args:
        functions: by name; the ``globals()`` of a module or the ``vars`` of a class. What is not
            a function, is private, or has no method of its name is left alone.
        told_by: the class whose methods have the texts.
        but: the names of those that have a text of their own.
    """
    for name, function in functions.items():
        if not isinstance(function, FunctionType) or name.startswith("_") or name in but:
            continue
        method = getattr(told_by, name, None)
        # Every value has the text of its class, None too from Python 3.13 on. No text: ``-OO``.
        if not isinstance(method, FunctionType) or not method.__doc__:
            continue
        parts = [cleandoc(method.__doc__)]
        if iscoroutinefunction(function):
            parts = [_ARGUMENT.sub("", parts[0]), _AWAITED]
        if "store_id" in (function.__kwdefaults__ or ()):
            parts.append(_STORE_ID)
        function.__doc__ = "\n\n".join(parts)


def with_options_of(text: str | None, *parts: type) -> str:
    """Give the docstring of a class that is put together of parts, with theirs behind it."""
    return "\n\n".join(cleandoc(each) for each in (text, *(p.__doc__ for p in parts)) if each)
