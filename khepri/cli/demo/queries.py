"""Asks the store what a person would ask of the document."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from khepri.cli.rendering import as_plain
from khepri.painting import shortened

if TYPE_CHECKING:
    from khepri.store import Store

    from .document import Question
    from .story import Story

_EXAMPLES = 3
_WIDTH = 60


def ask(store: Store, question: Question, story: Story) -> None:
    """Ask one question and tell the answer: how many, in what time, and a few of them."""
    started = time.perf_counter()
    answers = store.get_many(question.pattern)
    milliseconds = (time.perf_counter() - started) * 1000
    story.tell(f"{question.text}")
    story.detail(f"{question.pattern}: {len(answers):,} found in {milliseconds:,.1f} ms")
    for path in sorted(answers)[:_EXAMPLES]:
        payload = " ".join(as_plain(answers[path]).split())
        story.detail(f"  {path}  {shortened(payload, _WIDTH)}")
