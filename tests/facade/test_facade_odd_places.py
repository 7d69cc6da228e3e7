"""A home directory that cannot be one, and a working directory that is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import khepri
from khepri import config
from khepri.errors import DirectoryAccessError

if TYPE_CHECKING:
    from pathlib import Path as FilePath


def test_a_home_that_is_no_directory_has_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")  # as many users of services have it
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    config.reload()
    try:
        assert config.get_default_store_id() == "khepri"
    finally:
        monkeypatch.undo()
        config.reload()


def test_a_relative_directory_below_one_that_is_gone_is_a_khepri_error(
    tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(DirectoryAccessError):
        khepri.start("data")
