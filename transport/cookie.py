"""The cluster cookie: 32 secret bytes that every node of a cluster has and nobody else.

Like Erlang's cookie it says who belongs; unlike it, it is never sent: `curve` makes keys of it.
Here is where it comes from, first hit wins: an argument, ``KHEPRI_COOKIE``, a file in the user's
configuration directory, which is made on first use. A file that others can read is refused.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

import platformdirs

from khepri.errors import CookieError, CookieRequiredError, ExposedCookieError, WrongTypeError

COOKIE_BYTES = 32
ENVIRONMENT_VARIABLE = "KHEPRI_COOKIE"
_FILE_BYTES_READ = 4096


class Cookie:
    """A cookie and where it was found. Its text form never shows the secret."""

    __slots__ = ("secret", "source")

    def __init__(self, secret: bytes, source: str = "the argument") -> None:
        """Keep the secret.

        Args:
            secret: exactly 32 bytes, drawn at random.
            source: where it comes from, for messages.

        Raises:
            CookieError: there are not 32 bytes.
        """
        if len(secret) != COOKIE_BYTES:
            reason = f"it has {len(secret)} bytes instead of {COOKIE_BYTES}"
            raise _unusable(source, reason)
        self.secret = secret
        self.source = source

    def __repr__(self) -> str:
        """Show where it comes from and nothing else."""
        return f"<Cookie from {self.source}>"

    @classmethod
    def from_hex(cls, text: str, source: str) -> Cookie:
        """Read the form that files and variables hold: 64 hexadecimal digits.

        Raises:
            CookieError: the text is something else.
        """
        try:
            secret = bytes.fromhex(text.strip())
        except ValueError:
            reason = f"it must be {2 * COOKIE_BYTES} hexadecimal digits"
            if source == "the argument":
                reason += "; the path of a file is given as a pathlib.Path"
            raise _unusable(source, reason) from None  # the cause would quote the secret
        return cls(secret, source)


CookieArgument = Cookie | bytes | str | os.PathLike[str] | None
"""32 bytes, 64 hexadecimal digits, the path of a cookie file, or nothing."""


def default_cookie_path() -> Path:
    """Give the path of the user's cookie file."""
    return platformdirs.user_config_path("khepri") / "cookie"


def find_cookie(argument: CookieArgument = None, *, exposed_address: str | None = None) -> Cookie:
    """Give the cookie: from the argument, the environment or the user's file, in this order.

    Args:
        argument: what the program was given; a path names a file that must exist.
        exposed_address: the address that other machines can reach, if there is one. Then a
            cookie must be found; otherwise a missing file is created.

    Raises:
        WrongTypeError: the argument is of another type.
        CookieRequiredError: there is none, and `exposed_address` needs one.
        ExposedCookieError: others can read or replace the file.
        CookieError: what was found is not a cookie.
    """
    match argument:
        case Cookie():
            return argument
        case bytes():
            return Cookie(argument)
        case str():
            return Cookie.from_hex(argument, "the argument")
        case os.PathLike():
            return read_cookie_file(Path(argument))
        case None:
            return _find_unasked(exposed_address)
        case _:  # pyright: ignore[reportUnnecessaryComparison] - a user's program is not checked
            raise WrongTypeError(
                f"a cookie is 32 bytes, 64 hexadecimal digits or a pathlib.Path, not a "
                f"{type(argument).__name__}",
                option="cookie",
                value=type(argument).__name__,  # not the secret itself
            )


def _find_unasked(exposed_address: str | None) -> Cookie:
    in_environment = os.environ.get(ENVIRONMENT_VARIABLE)
    if in_environment is not None:
        return Cookie.from_hex(in_environment, f"the variable {ENVIRONMENT_VARIABLE}")
    path = default_cookie_path()
    if not path.exists():
        if exposed_address is not None:
            raise CookieRequiredError(
                f"{exposed_address} can be reached from other machines: set a cookie on purpose, "
                f"by argument, by {ENVIRONMENT_VARIABLE} or in {path} (mode 0600)",
                address=exposed_address,
                source=str(path),
                reason="there is none",
            )
        create_cookie_file(path)
    return read_cookie_file(path)


def read_cookie_file(path: Path) -> Cookie:
    """Read a cookie file. The open file is checked, not the path, so that nothing can be swapped.

    Raises:
        ExposedCookieError: its mode or owner lets others read or replace it.
        CookieError: it cannot be read or holds something else.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        reason = error.strerror or str(error)
        raise _unusable(str(path), reason) from error
    try:
        _refuse_exposed(path, os.fstat(descriptor))
        content = os.read(descriptor, _FILE_BYTES_READ)
    finally:
        os.close(descriptor)
    return Cookie.from_hex(content.decode("ascii", "replace"), str(path))


def _refuse_exposed(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _unusable(str(path), "it is not a file")
    exposed_to_others = stat.S_IMODE(status.st_mode) & 0o077
    if exposed_to_others or status.st_uid not in (os.geteuid(), 0):
        mode = stat.S_IMODE(status.st_mode)
        raise ExposedCookieError(
            f"the cookie file {path} (mode {mode:04o}, owner {status.st_uid}) must be readable "
            f"by its owner alone, who must be you: chmod 600 it, and if others may have read it, "
            "replace it on every node",
            source=str(path),
            path=str(path),
            reason=f"mode {mode:04o}, owner {status.st_uid}",
        )


def create_cookie_file(path: Path) -> None:
    """Write a new cookie, unless another process is faster: then its cookie stands.

    The file appears whole or not at all (written aside, synced, linked), with mode 0600.

    Raises:
        CookieError: the directory or the file cannot be written.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            _write_synced(aside, secrets.token_hex(COOKIE_BYTES) + "\n")
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise _unusable(str(path), reason) from error


def _write_synced(path: Path, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(source: str, reason: str) -> CookieError:
    return CookieError(
        f"the cookie from {source} is no use: {reason}", source=source, reason=reason
    )
