"""`Projection`: what is to be derived from the tree, and how."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from khepri.errors import InvalidOptionError, WrongTypeError

from .options import listed, returned_properties
from .projection_content import Copy, Extended, Simple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping

    from khepri.machine.paths import Path
    from khepri.machine.properties import NodeProperties

    from .projection_content import Content

    SimpleFunction = Callable[[Path, Any], tuple[Any, Any] | list[tuple[Any, Any]] | None]
    ExtendedFunction = Callable[
        [MutableMapping[Any, Any], Path, NodeProperties | None, NodeProperties | None], object
    ]

_EXTENDED: Final = (
    "payload",
    "payload_version",
    "child_list_version",
    "child_list_length",
    "child_names",
)


class Projection:
    """What a table derived from the tree has in it; `Store.register_projection` fills it.

    Three kinds:

    - ``Projection(name, "copy")``: the data of each tree node by its path. Values are decoded for
      each reader, whose own they are.
    - ``Projection(name, function)``: what ``function(path, data)`` makes of each tree node that
      has data: a record ``(key, value)``, a list of such, or None. When the data change, or go,
      so do the records: what the path had put in before is remembered, not asked for again. If
      several paths have a record of the same key, that of the last one in path order is seen,
      and when it goes the one before. All readers share the values: let them be immutable.
    - ``Projection(name, function, extended=True)``: ``function(table, path, old, new)`` manages
      the content itself. The table is a mutable mapping, `old` and `new` are the properties of the
      tree node before and after, None where it was, or is, none of the matches. It is called for
      changes of data, versions and children, once for each path of what is told together. When
      the store begins anew with another tree, so does the table, empty.

    A function looks only at what it is given. It is called in the thread that registers, for what
    is there, and then in one thread of khepri's, for which all projections wait: it should be
    quick. If it raises, or gives something else, that is logged under ``khepri.projection`` and
    the change is skipped: what the path had put in stays as it was.
    """

    __slots__ = ("_function", "_is_extended", "_mask", "name")

    def __init__(
        self,
        name: str,
        function: Literal["copy"] | SimpleFunction | ExtendedFunction,
        *,
        extended: bool = False,
        props_to_return: Iterable[str] | None = None,
    ) -> None:
        """Describe a projection.

        Args:
            name: unique in a store, on one node.
            function: see above.
            extended: whether it manages the content itself.
            props_to_return: which properties the function of an extended one is given; left out,
                payload, versions, number and names of children. The names cost most.

        Raises:
            WrongTypeError, InvalidOptionError: bad arguments.
        """
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise WrongTypeError(f"a name is text, not {name!r:.100}", option="name", value=name)
        if not name:
            raise InvalidOptionError("a projection has a name", option="name", value=name)
        if function != "copy" and (
            not callable(function) or inspect.iscoroutinefunction(function)
        ):
            raise WrongTypeError(
                f"function is 'copy' or a plain function, not {function!r:.100}",
                option="function",
                value=function,
            )
        if not extended and props_to_return is not None:
            raise InvalidOptionError(
                "only an extended projection is given properties",
                option="props_to_return",
                value=props_to_return,
            )
        if extended and function == "copy":
            raise InvalidOptionError(
                "a copy has no function that could manage the content",
                option="extended",
                value=extended,
            )
        self.name = name
        self._function = function
        self._is_extended = extended
        properties = _EXTENDED if props_to_return is None else listed(props_to_return)
        self._mask = returned_properties(properties)

    def __repr__(self) -> str:
        """Show its name."""
        return f"<projection {self.name!r}>"

    def new_content(self) -> Content:
        """Give an empty content of its kind; for the parts of the public face."""
        if self._function == "copy":
            return Copy()
        if self._is_extended:
            return Extended(cast("ExtendedFunction", self._function), self._mask)
        return Simple(cast("SimpleFunction", self._function))
