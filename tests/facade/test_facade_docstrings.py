"""``help`` of a function tells all there is to know, whichever way it is called."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

import khepri
from khepri import adv, aio
from khepri.advanced import AdvancedStore
from khepri.docstrings import tell_as_methods

if TYPE_CHECKING:
    from types import ModuleType


def functions_of(module: ModuleType, names: list[str]) -> dict[str, str]:
    """Give the docstrings of the functions among the names."""
    found = {name: getattr(module, name) for name in names}
    return {
        name: inspect.getdoc(function) or ""
        for name, function in found.items()
        if inspect.isfunction(function)
    }


@pytest.mark.parametrize(
    ("module", "told_by"), [(khepri, khepri.Store), (aio, khepri.Store), (adv, AdvancedStore)]
)
def test_every_function_of_a_store_says_what_its_method_says(
    module: ModuleType, told_by: type
) -> None:
    names = [name for name in vars(module) if not name.startswith("_") and name in dir(told_by)]
    documented = functions_of(module, names)
    assert len(documented) >= 15
    if module is aio:  # as a context manager it is another one
        assert "async with" in documented.pop("batch")
    for name, text in documented.items():
        method = inspect.getdoc(getattr(told_by, name))
        assert method is not None
        if module is aio:  # nothing of it takes that
            method = "".join(
                line for line in method.splitlines(True) if not line.lstrip().startswith("async_:")
            )
        assert text.startswith(method), name
        assert "``store_id``" in text, name


def test_the_store_tells_the_options_and_errors_of_its_functions() -> None:
    for store in (khepri.Store, aio.Store):
        text = inspect.getdoc(store) or ""
        for word in ("timeout", "favor", "keep_while", "reply_from", "OverloadedError", "disks"):
            assert word in text


def test_a_function_without_a_method_of_its_name_is_left_alone() -> None:
    def put() -> None:
        """Something else."""

    def unheard_of() -> None:
        """Its own."""

    def limit() -> None:
        """No method either."""

    def size() -> None:
        """Nor this."""

    class Told(khepri.Store):
        __slots__ = ()
        limit = None  # whose class has a docstring, from Python 3.13 on
        size = 3  # whose class has always had one

    functions = {"put": put, "unheard_of": unheard_of, "limit": limit, "size": size, "_put": 3}
    tell_as_methods(functions, Told)
    assert put.__doc__ == inspect.cleandoc(khepri.Store.put.__doc__ or "")
    assert unheard_of.__doc__ == "Its own."
    assert limit.__doc__ == "No method either."
    assert size.__doc__ == "Nor this."
