"""Where defaults come from, and that a bad one names its place."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import pytest

from khepri import config
from khepri.config import RaSystemName
from khepri.errors import DirectoryAccessError, InvalidOptionError, WrongTypeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("DEFAULT_TIMEOUT", "DEFAULT_STORE_ID", "DEFAULT_RA_SYSTEM", "MAX_COMMAND_BYTES"):
        monkeypatch.delenv(f"KHEPRI_{name}", raising=False)
    config.reload()
    yield
    config.reload()
    for name in ("default_timeout", "default_store_id", "default_ra_system"):
        config.unset_env(name)


def test_the_built_in_defaults_are_those_of_the_design() -> None:
    assert config.get_default_timeout() == 30.0
    assert config.get_default_store_id() == "khepri"
    assert config.get_env("default_ra_system") is None


def test_the_process_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config.config_file().parent.mkdir(parents=True, exist_ok=True)
    config.config_file().write_text('default_store_id = "from_file"\n')
    assert config.get_default_store_id() == "from_file"
    monkeypatch.setenv("KHEPRI_DEFAULT_STORE_ID", "from_environment")
    assert config.get_default_store_id() == "from_file", "a name is looked up once"
    config.reload()
    assert config.get_default_store_id() == "from_environment"
    config.set_env("default_store_id", "from_process")
    assert config.get_default_store_id() == "from_process"
    config.unset_env("default_store_id")
    assert config.get_default_store_id() == "from_environment"


def test_a_persistent_value_is_written_and_other_lines_stay() -> None:
    file = config.config_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('# mine\ndefault_timeout = 3\n[other]\nkey = "x"\n')
    config.set_env("default_timeout", 7.5, persistent=True)
    config.unset_env("default_timeout")
    assert config.get_default_timeout() == 7.5
    assert file.read_text().endswith('# mine\n[other]\nkey = "x"\n')


def test_a_persistent_value_may_have_any_letters() -> None:
    config.set_env("default_ra_system", "/data/\U0001f600/ü", persistent=True)
    config.unset_env("default_ra_system")
    assert config.get_env("default_ra_system") == "/data/\U0001f600/ü"


@pytest.mark.parametrize("line", ['"default_timeout" = 3', 'text = """\n default_timeout = 3"""'])
def test_a_file_that_cannot_be_written_line_by_line_is_left_alone(line: str) -> None:
    config.config_file().parent.mkdir(parents=True, exist_ok=True)
    config.config_file().write_text(line, "utf-8")
    config.reload()
    with pytest.raises(InvalidOptionError, match="cannot be written"):
        config.set_env("default_timeout", 7.5, persistent=True)
    assert config.config_file().read_text("utf-8") == line


def test_half_a_character_is_no_lasting_default() -> None:
    with pytest.raises(InvalidOptionError):
        config.set_env("default_ra_system", "/data/\ud800", persistent=True)
    assert not config.config_file().exists()


def test_a_timeout_beyond_all_measure_is_the_longest_there_is() -> None:
    assert config.check_timeout(10**400) == config.check_timeout(1e300) == threading.TIMEOUT_MAX


@pytest.mark.parametrize("value", [0, 1, 4095])
def test_a_limit_of_commands_that_small_ones_would_not_heed_is_refused(value: int) -> None:
    with pytest.raises(InvalidOptionError):
        config.set_env("max_command_bytes", value)


def test_infinity_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KHEPRI_DEFAULT_TIMEOUT", "infinity")
    assert config.get_default_timeout() is None
    config.set_env("default_timeout", None, persistent=True)
    config.unset_env("default_timeout")
    monkeypatch.delenv("KHEPRI_DEFAULT_TIMEOUT")
    config.reload()
    assert config.get_default_timeout() is None


@pytest.mark.parametrize("bad", ["soon", "-1", "nan"])
def test_a_bad_variable_is_named_with_its_value(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KHEPRI_DEFAULT_TIMEOUT", bad)
    with pytest.raises(InvalidOptionError, match=f"KHEPRI_DEFAULT_TIMEOUT is '{bad}'"):
        config.get_default_timeout()


def test_a_file_that_is_no_toml_is_named() -> None:
    config.config_file().parent.mkdir(parents=True, exist_ok=True)
    config.config_file().write_text("default_timeout = = 3")
    with pytest.raises(InvalidOptionError, match=r"config\.toml cannot be read"):
        config.get_default_timeout()


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="there is no setting 'default_colour'"):
        config.set_env("default_colour", "red")


def test_a_running_ra_system_is_no_lasting_default() -> None:
    config.set_env("default_ra_system", RaSystemName("mine"))
    with pytest.raises(InvalidOptionError, match="ends with its process"):
        config.set_env("default_ra_system", RaSystemName("mine"), persistent=True)


@pytest.mark.parametrize("value", [0, 1, 2.5, math.inf, None])
def test_good_timeouts(value: float | None) -> None:
    expected = None if value is None or math.isinf(value) else float(value)
    assert config.check_timeout(value) == expected


@pytest.mark.parametrize("value", [-1, -0.001, math.nan])
def test_impossible_timeouts(value: float) -> None:
    with pytest.raises(InvalidOptionError):
        config.check_timeout(value)


@pytest.mark.parametrize("value", ["1", True, [], b"2"])
def test_timeouts_of_the_wrong_type(value: object) -> None:
    with pytest.raises(WrongTypeError):
        config.check_timeout(value)


@pytest.mark.parametrize("value", ["", "x" * 201, "a\nb", "é" * 101])
def test_impossible_store_ids(value: str) -> None:
    with pytest.raises(InvalidOptionError):
        config.check_store_id(value)


def test_a_store_id_is_a_text() -> None:
    with pytest.raises(WrongTypeError):
        config.check_store_id(b"orders")


def test_a_file_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    (tmp_path / "config.tmp").mkdir()  # where the new text would stand before it is moved
    monkeypatch.setattr(config, "config_file", lambda: file)
    with pytest.raises(DirectoryAccessError, match=r"config\.toml cannot be written"):
        config.set_env("default_timeout", 3, persistent=True)
    assert config.get_env("default_timeout") != 3
