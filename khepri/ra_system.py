"""Ra systems by name: several stores in one directory of your choice, under settings of yours."""

from __future__ import annotations

import os
from typing import cast

from .calls import DEFAULT, Deadline, Timeout, node_or_default
from .cluster_arguments import checked_place
from .config import RaSystemName
from .errors import WrongTypeError

__all__ = ["default_config", "start", "stop"]


def default_config() -> dict[str, object]:
    """Give the settings of a Ra system with their defaults; there are none to change yet."""
    return {}


def start(
    name: str, data_dir: str | os.PathLike[str], *, timeout: Timeout = DEFAULT
) -> RaSystemName:
    """Start a Ra system; nothing happens if it runs already with that directory.

    Args:
        name: what to call it; `khepri.start` takes it as ``RaSystemName(name)``.
        data_dir: its directory, made with its parents if missing.
        timeout: for everything, recovery included.

    Raises:
        WrongTypeError: not a name, or not a path.
        InvalidOptionError: the name or the directory belongs to another Ra system of this node.
        StorageError: the directory cannot be used.
        KhepriTimeoutError: it still reads its log; that goes on, and another start finds it.
    """
    given = cast("object", name)
    if not isinstance(given, str) or not given:
        raise WrongTypeError(
            f"a Ra system is called by a text, not {name!r}", option="name", value=name
        )
    place = checked_place(data_dir)
    if isinstance(place, RaSystemName):
        raise WrongTypeError(
            f"{place!r} names a Ra system, not a directory", option="data_dir", value=place
        )
    path = os.path.abspath(place)  # noqa: PTH100 - links stay as they were written
    node_or_default(None).start_ra_system(name, path, Deadline(timeout).remaining())
    return RaSystemName(name)


def stop(name: str) -> None:
    """Stop a Ra system and the stores in it; data stay. Nothing happens if it does not run."""
    node_or_default(None).stop_ra_system(name)
