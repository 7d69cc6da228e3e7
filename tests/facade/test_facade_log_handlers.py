"""A handler of logs that wants the store while its server starts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import khepri
from khepri.errors import MisuseError

if TYPE_CHECKING:
    from pathlib import Path


class _Reader(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.refused = 0

    def emit(self, record: logging.LogRecord) -> None:
        del record
        try:
            khepri.get_or("/level", None)
        except MisuseError:
            self.refused += 1
        except khepri.KhepriError:
            pass


def test_a_handler_that_reads_while_a_store_starts_is_refused_and_the_start_goes_on(
    tmp_path: Path,
) -> None:
    logger, reader = logging.getLogger("khepri"), _Reader()
    level = logger.level
    logger.addHandler(reader)
    logger.setLevel(logging.INFO)
    try:
        khepri.start(tmp_path / "data", timeout=20)
        khepri.stop()
    finally:
        logger.removeHandler(reader)
        logger.setLevel(level)
    assert reader.refused
