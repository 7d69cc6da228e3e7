"""Stored procedures: names in the tree, functions in the program."""

from __future__ import annotations

import asyncio
from operator import add
from typing import TYPE_CHECKING

import pytest

import khepri
from khepri.errors import (
    InvalidValueError,
    ManyNodesDeniedError,
    NodeNotFoundError,
    NotAProcedureError,
    ProcedureNotRegisteredError,
    WrongTypeError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.types import Transaction


@pytest.fixture(autouse=True)
def no_procedure_is_left() -> Iterator[None]:
    yield
    for name in ("add", "gone", "move", "who"):
        khepri.unregister_procedure(name)


def test_a_stored_name_is_called_as_the_function_it_stands_for(store: khepri.Store) -> None:
    khepri.register_procedure("add", add)
    store.put("/procedures/add", khepri.ProcedureName("add"))
    assert store.run_sproc("/procedures/add", (2, 3)) == 5
    assert khepri.run_sproc("/procedures/add", ["a", "b"], store_id="orders") == "ab"
    assert store.is_sproc("/procedures/add")
    assert not store.has_data("/procedures/add")


def test_what_is_read_where_a_procedure_is_stored_is_its_name(store: khepri.Store) -> None:
    store.put("/procedures/add", khepri.ProcedureName("add"))
    name = store.get("/procedures/add")
    assert type(name) is khepri.ProcedureName
    assert name == "add"
    store.put("/procedures/copy", name)
    assert store.is_sproc("/procedures/copy")


def test_a_decorator_registers_and_gives_the_function_back(store: khepri.Store) -> None:
    @khepri.register_procedure("add")
    def plus(a: int, b: int) -> int:
        return a + b

    store.put("/add", khepri.ProcedureName("add"))
    assert store.run_sproc("/add", (plus(1, 1), 1)) == 3


def test_a_name_stands_for_what_was_registered_last(store: khepri.Store) -> None:
    store.put("/who", khepri.ProcedureName("who"))
    khepri.register_procedure("who", lambda: "first")
    khepri.register_procedure("who", lambda: "second")
    assert store.run_sproc("/who") == "second"
    assert khepri.unregister_procedure("who") is True
    assert khepri.unregister_procedure("who") is False
    with pytest.raises(ProcedureNotRegisteredError, match="'who'") as error:
        store.run_sproc("/who")
    assert error.value.facts["procedure"] == "who"
    assert error.value.facts["path"] == "/who"


def test_what_is_no_procedure_is_not_called(store: khepri.Store) -> None:
    store.put("/data", "add")
    store.put("/above/below", 1)
    with pytest.raises(NotAProcedureError, match="/data"):
        store.run_sproc("/data")
    with pytest.raises(NotAProcedureError):
        store.run_sproc("/above")
    with pytest.raises(NodeNotFoundError):
        store.run_sproc("/nowhere")
    with pytest.raises(ManyNodesDeniedError):
        store.run_sproc("/*")


def divide(a: int, b: int) -> float:
    return a / b


def test_what_a_procedure_raises_is_raised(store: khepri.Store) -> None:
    khepri.register_procedure("add", divide)
    store.put("/divide", khepri.ProcedureName("add"))
    with pytest.raises(ZeroDivisionError):
        store.run_sproc("/divide", (1, 0))
    with pytest.raises(TypeError):
        store.run_sproc("/divide", (1,))


def test_impossible_procedures_are_refused() -> None:
    async def awaited() -> None:
        """Do nothing."""

    with pytest.raises(InvalidValueError):
        khepri.register_procedure("", print)
    with pytest.raises(InvalidValueError):
        khepri.register_procedure("x" * 256, print)
    with pytest.raises(WrongTypeError, match="name"):
        khepri.register_procedure(5, print)  # type: ignore[call-overload]
    with pytest.raises(WrongTypeError, match="awaited"):
        khepri.register_procedure("add", awaited)
    with pytest.raises(WrongTypeError, match="called"):
        khepri.register_procedure("add", 5)  # type: ignore[call-overload]


# --- as transactions


def move(transaction: Transaction, source: str, target: str, amount: int) -> int:
    """Move something from one tree node to another."""
    left = transaction.get(source) - amount
    transaction.put(source, left)
    transaction.put(target, transaction.get_or(target, 0) + amount)
    return int(left)


def test_a_stored_procedure_may_be_a_transaction(store: khepri.Store) -> None:
    khepri.register_procedure("move", move)
    store.put("/move", khepri.ProcedureName("move"))
    store.put("/a", 5)
    assert store.transaction("/move", ("/a", "/b", 3)) == 2
    assert khepri.transaction("/move", ["/a", "/b", 1], store_id="orders") == 1
    assert store.get_many("/*") == {("a",): 1, ("b",): 4, ("move",): "move"}


def test_a_function_too_is_given_arguments(store: khepri.Store) -> None:
    store.put("/a", 5)
    assert store.transaction(move, ("/a", "/b", 3)) == 2


def test_a_procedure_that_is_replaced_meanwhile_is_not_the_one_that_counts(
    store: khepri.Store,
) -> None:
    def first(transaction: Transaction) -> str:
        store.put("/run", khepri.ProcedureName("who"))  # somebody else, meanwhile
        transaction.put("/result", "first")
        return "first"

    def second(transaction: Transaction) -> str:
        transaction.put("/result", "second")
        return "second"

    khepri.register_procedure("gone", first)
    khepri.register_procedure("who", second)
    store.put("/run", khepri.ProcedureName("gone"))
    assert store.transaction("/run") == "second"
    assert store.get("/result") == "second"


def test_a_transaction_at_a_path_without_procedure_is_refused(store: khepri.Store) -> None:
    store.put("/data", 1)
    store.put("/unknown", khepri.ProcedureName("nobody has it"))
    with pytest.raises(NotAProcedureError):
        store.transaction("/data")
    with pytest.raises(NodeNotFoundError):
        store.transaction("/nowhere")
    with pytest.raises(ProcedureNotRegisteredError):
        store.transaction("/unknown")


def test_tasks_call_procedures_too(store: khepri.Store) -> None:
    khepri.register_procedure("add", add)
    khepri.register_procedure("move", move)

    async def main() -> None:
        aio = khepri.aio.Store("orders")
        await aio.put("/add", khepri.ProcedureName("add"))
        await aio.put("/move", khepri.ProcedureName("move"))
        await aio.put("/a", 5)
        assert await aio.run_sproc("/add", (2, 3)) == 5
        assert await aio.transaction("/move", ("/a", "/b", 3)) == 2
        assert await aio.transaction(move, ("/a", "/b", 1)) == 1
        with pytest.raises(NotAProcedureError):
            await aio.run_sproc("/a")

    asyncio.run(main())
    assert store.get("/b") == 4
