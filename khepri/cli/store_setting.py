"""A setting of a store on the command line: ``snapshot_entries=65536``."""

from __future__ import annotations

import argparse
from dataclasses import fields

from khepri.actors.ra_server_config import RaServerConfig

_BOOLEANS = {"true": True, "false": False}
_KINDS = {field.name: field.type for field in fields(RaServerConfig)}


def store_setting(text: str) -> tuple[str, object]:
    """Read one; for argparse.

    Raises:
        argparse.ArgumentTypeError: there is no such setting, or its value is of another kind.
    """
    name, _, value = text.partition("=")
    kind = _KINDS.get(name)
    if kind is None or name == "cluster_name":
        known = ", ".join(sorted(set(_KINDS) - {"cluster_name"}))
        raise argparse.ArgumentTypeError(f"there is no setting {name!r}; known are {known}")
    if kind == "str":
        return name, value
    if kind == "bool":
        if value not in _BOOLEANS:
            raise argparse.ArgumentTypeError(f"{name} is true or false, not {value!r}")
        return name, _BOOLEANS[value]
    try:
        return name, int(value) if kind == "int" else float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{name} takes a number, not {value!r}") from None
