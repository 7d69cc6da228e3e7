"""How the demonstration talks: numbered chapters, sentences, and details under them."""

from __future__ import annotations

import time


class Story:
    """Tells on standard output what happens, with the time since the beginning."""

    def __init__(self) -> None:
        """Begin."""
        self._started = time.monotonic()
        self._chapter = 0

    @property
    def elapsed_seconds(self) -> float:
        """How long the story has been going on."""
        return time.monotonic() - self._started

    def chapter(self, title: str) -> None:
        """Begin a new chapter."""
        self._chapter += 1
        print(f"\n{self._chapter}. {title}  [{self.elapsed_seconds:.1f} s]", flush=True)

    def tell(self, sentence: str) -> None:
        """Say something."""
        print(f"   {sentence}", flush=True)

    def detail(self, sentence: str) -> None:
        """Say something about what was said before."""
        print(f"     {sentence}", flush=True)

    def end(self, sentence: str) -> None:
        """Say the last sentence."""
        print(f"\nDone in {self.elapsed_seconds:.1f} s. {sentence}", flush=True)
