# SPDX-License-Identifier: GPL-3.0-or-later
"""What is queued for the SIP thread."""

from collections.abc import Callable
from dataclasses import dataclass

import pjsua2 as pj
import structlog

from gateway.errors import WrongCallState

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Command:
    """Work for the endpoint's thread."""

    work: Callable[[], object]
    done: Callable[[BaseException | None], None] | None
    """Told how it went; None when nobody waits."""

    def run(self) -> None:
        try:
            self.work()
        except pj.Error as fault:
            self.answer(WrongCallState(fault.reason or fault.title))
        except Exception as fault:  # whoever waits gets it; the thread must go on for all the others
            self.answer(fault)
        else:
            self.answer(None)

    def answer(self, error: BaseException | None) -> None:
        if self.done is not None:
            self.done(error)
        elif error is not None:
            log.warning("sip_command_failed", cause=str(error))
