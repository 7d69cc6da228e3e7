"""Settings for the property tests of all rooms."""

from __future__ import annotations

from hypothesis import settings

# Examples take milliseconds, but the machine that runs them may have better things to do.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
