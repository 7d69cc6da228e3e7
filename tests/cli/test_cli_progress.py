"""Progress is shown for long work only."""

import io

from khepri.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_short_work_shows_nothing() -> None:
    stream = io.StringIO()
    progress = Progress("things", stream=stream)
    progress.advance(5)
    progress.end()
    assert stream.getvalue() == ""
    assert progress.done == 5


def test_long_work_shows_count_total_and_rate() -> None:
    stream = io.StringIO()
    progress = Progress("things", 2_000, stream=stream, quiet_seconds=0.0)
    progress.advance(1_000)
    progress.end()
    assert stream.getvalue().startswith("1,000 of 2,000 (50%) things, ")
    assert stream.getvalue().endswith("/s\n")


def test_a_terminal_line_is_drawn_over_and_taken_away() -> None:
    stream = Terminal()
    progress = Progress("things", stream=stream, quiet_seconds=0.0)
    progress.advance()
    progress.end()
    assert stream.getvalue().startswith("\r\x1b[K1 things, ")
    assert stream.getvalue().endswith("\r\x1b[K")
