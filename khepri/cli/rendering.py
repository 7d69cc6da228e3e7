"""Payloads as text: JSON where a program reads, plain where a person or a shell does.

JSON has no bytes, tuples, times or UUIDs. They are shown as ``{"bytes": "<base64>"}``, a list, and
texts: good for looking, not a backup format.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import uuid
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Sequence


def as_json(value: object) -> str:
    """Write a payload as JSON in one line; Unicode text stays readable."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def as_plain(value: object) -> str:
    """Write a payload for people: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else as_json(value)


def _plain(value: object) -> Any:  # noqa: ANN401 - whatever JSON has
    """Replace what JSON does not have."""
    if isinstance(value, dict):
        mapping = cast("dict[object, object]", value)
        return {_key(key): _plain(item) for key, item in mapping.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, uuid.UUID) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return value


def _key(key: object) -> str:
    return key if isinstance(key, str) else as_json(key)
