"""The exit code of ``khepri serve`` tells a supervisor whether to start it again helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.cli_site import Site


def test_a_daemon_whose_store_is_damaged_ends_with_the_code_of_a_bad_directory(site: Site) -> None:
    alice = site.serve(site.name("alice"))
    alice.wait_for("ready")
    assert alice.end() == 0
    (meta,) = (site.directory / "alice").glob("stores/*/meta")
    meta.write_bytes(b"\xff" * meta.stat().st_size)
    assert site.serve(alice.name).wait() == 4
