"""The envelope of a message: what a mailbox holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka._envelope

if TYPE_CHECKING:
    from .future import KhepriFuture


class Envelope(pykka._envelope.Envelope[Any]):  # noqa: SLF001 - every Pykka inbox must name it
    """A message and where its reply goes.

    Nothing new at run time: all our references make our futures, and this says so.
    """

    __slots__ = ()

    # An envelope is not changed once it is made, so narrowing is safe.
    reply_to: KhepriFuture[Any] | None  # pyright: ignore[reportIncompatibleVariableOverride]
