"""Procedures by name: functions of this process that stored names stand for."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar, overload

from khepri.actors.procedures import PROCEDURES
from khepri.errors import NotAProcedureError, ProcedureNotRegisteredError, WrongTypeError
from khepri.machine.values import ProcedureName

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.machine.paths import PathLike

Function = TypeVar("Function", bound="Callable[..., Any]")


@overload
def register_procedure(name: str, function: Function) -> Function: ...
@overload
def register_procedure(name: str) -> Callable[[Function], Function]: ...
def register_procedure(name: str, function: Callable[..., Any] | None = None) -> Any:
    """Let a name stand for a function in this process, for all stores in it.

    In the tree there are names only, never code: ``put(path, ProcedureName(name))`` stores one.
    Each program that is to call it registers the function under that name, before it starts the
    store if triggers may ask for it at once. A name that stands for a function already stands for
    the new one from now on. Any thread.

    Args:
        name: 1 to 255 bytes in UTF-8.
        function: what it stands for; if left out, this is a decorator.

    Returns:
        the function, or the decorator.

    Raises:
        InvalidValueError: not such a name.
        WrongTypeError: the function is none, or would have to be awaited.
    """
    checked = ProcedureName(_text(name))

    def register(function: Function) -> Function:
        if not callable(function) or iscoroutinefunction(function):
            raise WrongTypeError(
                f"a procedure is a function that is called, not awaited: {function!r:.100}",
                option="function",
                value=function,
            )
        PROCEDURES.register(str(checked), function)
        return function

    return register if function is None else register(function)


def unregister_procedure(name: str) -> bool:
    """Let a name stand for nothing in this process any more.

    Calls that triggers ask for wait from then on. Any thread.

    Returns:
        whether it stood for something.

    Raises:
        InvalidValueError: not a name of a procedure.
    """
    return PROCEDURES.unregister(str(ProcedureName(_text(name))))


def find_procedure(stored: object, path: PathLike) -> Callable[..., Any]:
    """Give the function that what is stored at a path stands for.

    Raises:
        NotAProcedureError: it is not the name of a procedure.
        ProcedureNotRegisteredError: the name stands for nothing in this process.
    """
    if type(stored) is not ProcedureName:
        raise NotAProcedureError(f"no stored procedure is at {path}, but other data", path=path)
    function = PROCEDURES.find(stored)
    if function is None:
        raise ProcedureNotRegisteredError(
            f"no procedure {str(stored)!r}, which {path} names, is registered in this process",
            path=path,
            procedure=str(stored),
        )
    return function


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise WrongTypeError(
            f"the name of a procedure is text, not {name!r:.100}", option="name", value=name
        )
    return name
