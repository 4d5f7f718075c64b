# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the beginning of a long call put into words, before there is so much that rules must do it."""

import structlog

from agent.conversation import Fold, History
from agent.errors import ServiceError
from agent.summary import Summarizer
from agent.tasks import SessionTasks

log = structlog.get_logger(__name__)


class Folding:
    """Of one session's history. Without a summarizer nothing happens."""

    def __init__(self, history: History, summarizer: Summarizer | None, tasks: SessionTasks) -> None:
        self._history = history
        self._summarizer = summarizer
        self._tasks = tasks

    def maybe_fold(self) -> None:
        """To be called now and then, when nobody waits for the agent."""
        if self._summarizer is not None and (fold := self._history.begin_fold()) is not None:
            self._tasks.aside(self._fold(self._summarizer, fold))

    async def _fold(self, summarizer: Summarizer, fold: Fold) -> None:
        summary = ""
        try:
            summary = await summarizer.summarize(fold.earlier, fold.messages)
        except ServiceError as error:  # the rules will do it: nothing the caller needs to hear of
            log.warning("not_summarized", service=error.service, detail=error.detail)
        self._history.finish_fold(fold, summary)
