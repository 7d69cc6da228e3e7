"""`khepri.info`: the running stores, or one of them, shown to a person."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from khepri.actors.default_node import default_stores

from .describing import stores_lines
from .docstrings import tell_as_methods
from .informing import SHOWN, print_lines, style_for
from .options import checked_limit
from .store import Store

if TYPE_CHECKING:
    from typing import TextIO


def info(
    store_id: str | None = None, *, limit: int | None = SHOWN, file: TextIO | None = None
) -> None:
    """See `Store.info`."""
    if store_id is not None:
        Store(store_id).info(limit=limit, file=file)
        return
    out = sys.stdout if file is None else file
    style = style_for(out, checked_limit(limit))
    print_lines(stores_lines(default_stores(), style.paint), out)


tell_as_methods(globals(), Store)
if info.__doc__:  # not with -OO
    info.__doc__ += (
        "\n\n``store_id`` says which store is meant. Left out, nothing of a store is shown, but"
        "\nwhich stores run on this process's default node, as with Khepri's info/0."
    )
