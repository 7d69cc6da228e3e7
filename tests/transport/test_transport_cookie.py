"""Where the cookie comes from, which cookies are refused, and the keys made of it."""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from khepri.errors import (
    CookieError,
    CookieRequiredError,
    CurveUnavailableError,
    ExposedCookieError,
    WrongTypeError,
)
from khepri.transport.cookie import (
    Cookie,
    create_cookie_file,
    default_cookie_path,
    find_cookie,
    read_cookie_file,
)
from khepri.transport.curve import ClusterKeys
from khepri.transport.zmq_transport import ZmqTransport
from tests.transport.transport_helpers import COOKIE, Mailbox, new_incarnation

if TYPE_CHECKING:
    from pathlib import Path

SECRET = COOKIE.hex()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration directory of the test's own, and no cookie in the environment."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("KHEPRI_COOKIE", raising=False)
    return tmp_path


def test_an_argument_is_taken_as_it_is() -> None:
    assert find_cookie(COOKIE).secret == COOKIE
    assert find_cookie(SECRET).secret == COOKIE
    assert find_cookie(Cookie(COOKIE)).secret == COOKIE


@pytest.mark.parametrize("wrong", [5, 0.5, ["secret"], bytearray(32)])
def test_an_argument_of_another_type_is_refused_and_not_shown(wrong: Any) -> None:
    with pytest.raises(WrongTypeError, match=f"not a {type(wrong).__name__}") as raised:
        find_cookie(wrong)
    assert "secret" not in f"{raised.value} {raised.value.facts}"


def test_an_argument_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_file = find_cookie()
    monkeypatch.setenv("KHEPRI_COOKIE", "11" * 32)
    assert find_cookie().secret == b"\x11" * 32
    assert find_cookie(COOKIE).secret == COOKIE
    monkeypatch.delenv("KHEPRI_COOKIE")
    assert find_cookie().secret == in_file.secret


def test_the_file_is_made_on_first_use_for_its_owner_alone(home: Path) -> None:
    first = find_cookie()

    path = default_cookie_path()
    assert path == home / "khepri" / "cookie"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(first.secret) == 32
    assert find_cookie().secret == first.secret
    assert list(path.parent.iterdir()) == [path]


def test_a_wide_umask_does_not_open_the_file() -> None:
    before = os.umask(0)
    try:
        find_cookie()
    finally:
        os.umask(before)
    assert stat.S_IMODE(default_cookie_path().stat().st_mode) == 0o600


def test_processes_that_make_it_at_once_agree_on_one() -> None:
    barrier = threading.Barrier(8)
    found: list[bytes] = []

    def find() -> None:
        barrier.wait()
        found.append(find_cookie().secret)

    threads = [threading.Thread(target=find) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1


def test_an_existing_file_is_never_overwritten() -> None:
    first = find_cookie()
    create_cookie_file(default_cookie_path())
    assert find_cookie().secret == first.secret


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "cookie"
    path.write_text(SECRET)
    path.chmod(mode)

    with pytest.raises(ExposedCookieError, match=f"{mode:04o}") as caught:
        find_cookie(path)
    assert caught.value.path == str(path)
    assert SECRET not in str(caught.value)


def test_a_file_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cookie"
    create_cookie_file(path)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    if path.stat().st_uid == 0:  # root may own it: then make it somebody else's
        os.chown(path, 12345, 12345)
    with pytest.raises(ExposedCookieError, match="owner"):
        read_cookie_file(path)


def test_a_file_given_by_path_must_exist(tmp_path: Path) -> None:
    with pytest.raises(CookieError, match="No such file"):
        find_cookie(tmp_path / "missing")


def test_a_directory_is_no_cookie_file(tmp_path: Path) -> None:
    with pytest.raises(CookieError, match="not a file"):
        find_cookie(tmp_path)


def test_a_directory_that_cannot_be_made_is_named(home: Path) -> None:
    (home / "khepri").write_text("in the way")
    with pytest.raises(CookieError, match=r"khepri/cookie.*no use"):
        find_cookie()


@pytest.mark.parametrize(
    "text", ["", "secret", SECRET[:-2], SECRET + "00", "zz" * 32, "correct horse battery staple"]
)
def test_what_is_not_32_bytes_in_hexadecimal_is_refused_and_not_shown(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KHEPRI_COOKIE", text)
    with pytest.raises(CookieError, match="KHEPRI_COOKIE") as caught:
        find_cookie()
    assert not text or text not in str(caught.value)
    assert caught.value.__cause__ is None


def test_white_space_around_the_digits_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "cookie"
    path.write_text(f"  {SECRET}\n")
    path.chmod(0o600)
    assert find_cookie(path).secret == COOKIE


def test_a_cookie_and_its_keys_do_not_show_their_secrets() -> None:
    cookie = Cookie(COOKIE)
    pair = ClusterKeys(cookie).client("alice@127.0.0.1:1")
    shown = f"{cookie!r} {cookie} {pair!r} {pair}"
    assert SECRET not in shown
    assert pair.secret.decode() not in shown


@pytest.mark.parametrize("listen", ["*:0", "0.0.0.0:0", "[::]:0"])
def test_an_address_beyond_loopback_needs_a_cookie_set_on_purpose(listen: str) -> None:
    def make(cookie: bytes | None) -> ZmqTransport:
        return ZmqTransport(
            "alice@127.0.0.1:5701", new_incarnation(), Mailbox(), cookie=cookie, listen=listen
        )

    with pytest.raises(CookieRequiredError, match="other machines") as caught:
        make(None)
    assert "KHEPRI_COOKIE" in str(caught.value)
    assert not default_cookie_path().exists(), "it must not be made in passing"

    make(COOKIE)
    create_cookie_file(default_cookie_path())
    make(None)


def test_on_loopback_a_cookie_is_made() -> None:
    ZmqTransport("alice@127.0.0.1:5701", new_incarnation(), Mailbox())
    assert default_cookie_path().exists()


def test_without_curve_there_is_no_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    def has(_capability: str) -> bool:
        return False

    monkeypatch.setattr(zmq, "has", has)
    with pytest.raises(CurveUnavailableError):
        ZmqTransport("alice@127.0.0.1:5701", new_incarnation(), Mailbox(), cookie=COOKIE)


def test_keys_differ_by_role_name_and_cookie_and_by_nothing_else() -> None:
    keys, others = ClusterKeys(Cookie(COOKIE)), ClusterKeys(Cookie(bytes(32)))
    made = [
        maker(name)
        for family in (keys, others)
        for maker in (family.server, family.client)
        for name in ("alice@h:1", "bob@h:1")
    ]
    made += [keys.door(), others.door()]

    assert len(set(made)) == len(made)
    assert ClusterKeys(Cookie(COOKIE)).server("bob@h:1") == keys.server("bob@h:1")
    for pair in made:
        assert zmq.curve_public(pair.secret) == pair.public
