"""Where defaults come from: Erlang's application environment in Python's clothes.

A setting is looked up, first hit wins, in

1. `set_env` of this process,
2. the environment variable ``KHEPRI_<NAME>``,
3. ``config.toml`` in platformdirs' user configuration directory,
4. the built-in default.

A name is looked up once: every call that uses a default asks, and the environment alone would
cost it as much as the rest of a local read. `reload` has all of them looked up again.

This file knows which settings exist and which values they take. It does not know what they mean.
"""

from __future__ import annotations

import json
import math
import os
import threading
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType, cast

import platformdirs

from .errors import DirectoryAccessError, InvalidOptionError, WrongTypeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

StoreId = NewType("StoreId", str)
"""The name of a store: a non-empty text, see `check_store_id`."""


class RaSystemName(str):
    """The name of a Ra system that is already running, where a data directory could stand too."""

    __slots__ = ()


STORE_ID_BYTES_MAX = 200
"""A store id becomes a part of thread names, log lines and envelopes: it stays short."""


def check_store_id(value: object) -> StoreId:
    """Give the store id back if it is one.

    Raises:
        WrongTypeError: not a text.
        InvalidOptionError: empty, longer than `STORE_ID_BYTES_MAX` in UTF-8, or with characters
            that cannot be printed.
    """
    if not isinstance(value, str):
        raise WrongTypeError(
            f"a store id is a text, not {value!r}", option="store_id", value=value
        )
    if (
        not value
        or not value.isprintable()
        or len(value.encode("utf-8", "surrogatepass")) > STORE_ID_BYTES_MAX
    ):
        raise InvalidOptionError(
            f"a store id is 1 to {STORE_ID_BYTES_MAX} printable bytes, not {value[:60]!r}",
            option="store_id",
            value=value,
        )
    return StoreId(str(value))


def check_timeout(value: object, option: str = "timeout") -> float | None:
    """Give the timeout in seconds; None waits for ever.

    Args:
        value: a number of seconds from 0 up, infinity included, or None.
        option: what the value is called in an error.

    Raises:
        WrongTypeError: neither a number nor None.
        InvalidOptionError: negative or not a number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongTypeError(
            f"{option} is a number of seconds or None, not {value!r}", option=option, value=value
        )
    if isinstance(value, int) and value > threading.TIMEOUT_MAX:
        return threading.TIMEOUT_MAX  # perhaps above what a float can be
    if math.isnan(value) or value < 0:
        raise InvalidOptionError(
            f"{option} is 0 or more seconds, not {value!r}", option=option, value=value
        )
    return None if math.isinf(value) else min(float(value), threading.TIMEOUT_MAX)


def _ra_system(value: object) -> str | RaSystemName:
    if isinstance(value, RaSystemName):
        return value
    if isinstance(value, os.PathLike):
        value = os.fspath(cast("os.PathLike[str]", value))
    if not isinstance(value, str) or not value:
        raise ValueError("the path of a directory or a RaSystemName")
    return value


def _timeout(value: object) -> float | None:
    if isinstance(value, str):
        value = None if value.strip().lower() == "infinity" else float(value)
    return check_timeout(value)


LEAST_COMMAND_BYTES = 4096
"""The lowest limit for commands: nobody looks it up for those that are smaller."""


def _bytes(value: object) -> int:
    if isinstance(value, str):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < LEAST_COMMAND_BYTES:
        raise ValueError(f"a whole number of bytes from {LEAST_COMMAND_BYTES} up")
    return value


@dataclass(frozen=True, slots=True)
class _Setting:
    """One name of the environment: its default, and what turns a found value into a good one."""

    variable: str
    default: object
    check: Callable[[object], object]
    meaning: str


DEFAULT_TIMEOUT_SECONDS = 30.0
MAX_COMMAND_BYTES = 4 * 1024 * 1024

_SETTINGS: dict[str, _Setting] = {
    "default_ra_system": _Setting(
        "KHEPRI_DEFAULT_RA_SYSTEM",
        None,
        _ra_system,
        "the path of a data directory, or the RaSystemName of a running system",
    ),
    "default_store_id": _Setting(
        "KHEPRI_DEFAULT_STORE_ID", "khepri", check_store_id, "a store id"
    ),
    "default_timeout": _Setting(
        "KHEPRI_DEFAULT_TIMEOUT",
        DEFAULT_TIMEOUT_SECONDS,
        _timeout,
        "seconds from 0 up, or 'infinity'",
    ),
    "max_command_bytes": _Setting(
        "KHEPRI_MAX_COMMAND_BYTES",
        MAX_COMMAND_BYTES,
        _bytes,
        f"a whole number of bytes from {LEAST_COMMAND_BYTES} up",
    ),
}

_lock = threading.Lock()
_process_values: dict[str, object] = {}
_found: dict[str, object] = {}  # replaced as a whole, so that what was looked up before is lost
_file_values: dict[str, object] | None = None


def config_file() -> Path:
    """Give the path of the user's ``config.toml``; it need not exist."""
    return platformdirs.user_config_path("khepri") / "config.toml"


def set_env(name: str, value: object, *, persistent: bool = False) -> None:
    """Set a default for this process, and for later ones too if `persistent`.

    Args:
        name: one of ``default_ra_system``, ``default_store_id``, ``default_timeout``,
            ``max_command_bytes``.
        value: what the name takes; see `get_env`.
        persistent: also write it into ``config.toml`` (other lines stay as they are).

    Raises:
        InvalidOptionError: an unknown name, or a value the name does not take.
        DirectoryAccessError: ``config.toml`` cannot be written.
    """
    checked = _checked(name, value, f"{name}")
    with _lock:
        if persistent:
            _write_to_file(name, checked)
        _process_values[name] = checked
        reload()


def unset_env(name: str) -> None:
    """Forget what `set_env` set in this process; the file is left alone.

    Raises:
        InvalidOptionError: an unknown name.
    """
    _setting(name)
    with _lock:
        _process_values.pop(name, None)
        reload()


def reload() -> None:
    """Look at the environment and into ``config.toml`` again at the next use."""
    global _found, _file_values  # noqa: PLW0603 - see above
    _file_values = None
    _found = {}


def get_env(name: str) -> object:
    """Give the value in force for a name; see the module for where it comes from.

    Raises:
        InvalidOptionError: an unknown name, or a bad value in the environment or the file; the
            message names the variable and the value.
    """
    found = _found
    if name not in found:
        found[name] = _look_up(name)
    return found[name]


def _look_up(name: str) -> object:
    setting = _setting(name)
    if name in _process_values:
        return _process_values[name]
    from_environment = os.environ.get(setting.variable)
    if from_environment is not None:
        return _checked(name, from_environment, setting.variable)
    from_file = _read_file()
    if name in from_file:
        return _checked(name, from_file[name], f"{name} in {config_file()}")
    return setting.default


def get_default_timeout() -> float | None:
    """Give the default timeout in seconds; None waits for ever."""
    try:  # every call that waits passes here
        value = _found["default_timeout"]
    except KeyError:
        value = get_env("default_timeout")
    assert value is None or isinstance(value, float)
    return value


def get_default_store_id() -> StoreId:
    """Give the store id that is meant when none is named (Khepri's get_default_store_id/0)."""
    value = get_env("default_store_id")
    assert isinstance(value, str)
    return StoreId(value)


def get_max_command_bytes() -> int:
    """Give the size limit of one encoded command, in bytes."""
    value = get_env("max_command_bytes")
    assert isinstance(value, int)
    return value


def _setting(name: str) -> _Setting:
    setting = _SETTINGS.get(name)
    if setting is None:
        raise InvalidOptionError(
            f"there is no setting {name!r}; the settings are {', '.join(sorted(_SETTINGS))}",
            option=name,
            value=None,
        )
    return setting


def _checked(name: str, value: object, where: str) -> object:
    setting = _setting(name)
    try:
        return setting.check(value)
    except (ValueError, TypeError) as error:
        raise InvalidOptionError(
            f"{where} is {value!r}, but should be {setting.meaning}", option=name, value=value
        ) from error


def _read_file() -> dict[str, object]:
    """Give what the file says; it is read once for all names."""
    global _file_values  # noqa: PLW0603 - one cache per process, replaced as a whole
    values = _file_values
    if values is None:
        path = config_file()
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            values = {}
        except (OSError, ValueError) as error:
            raise InvalidOptionError(
                f"{path} cannot be read: {error}", option="config.toml", value=str(path)
            ) from error
        _file_values = values
    return values


def _write_to_file(name: str, value: object) -> None:
    """Replace or add one line; a JSON text or number is a TOML one too."""
    path = config_file()
    if isinstance(value, RaSystemName):
        raise InvalidOptionError(
            "a running Ra system ends with its process and cannot be a lasting default",
            option=name,
            value=value,
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
    except OSError as error:
        raise _inaccessible(path, error) from error
    kept = [line for line in lines if line.split("=")[0].strip() != name]
    # In front: after a [table] header the line would belong to that table.
    shown = json.dumps("infinity" if value is None else value, ensure_ascii=False)
    text = "\n".join([f"{name} = {shown}", *kept]) + "\n"
    try:
        tomllib.loads(text)
        content = text.encode()
    except ValueError as error:  # a key in quotes, a text of several lines, half a character
        raise InvalidOptionError(
            f"{name} cannot be written into {path}: {error}", option=name, value=value
        ) from error
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise _inaccessible(path, error) from error


def _inaccessible(path: Path, error: OSError) -> DirectoryAccessError:
    return DirectoryAccessError(
        f"{path} cannot be written: {error.strerror}", path=str(path), reason=error.strerror
    )
