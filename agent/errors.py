# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong in the agent, split by blame.

AgentError
├── AgentMisuse            our own call is wrong
├── KnowledgeError         a knowledge folder or file that cannot be used
├── ModelError             a model file that is missing, damaged or not the one we know
├── ToolFailed             a tool could not do what was asked; the message is for the model
└── ServiceError           an STT, LLM or TTS service failed (`retryable` says whether to ask again)
    ├── ServiceUnavailable     no connection, overload: retryable
    │   └── ServiceLate            it did not answer in time: retryable, but the caller has waited long enough
    └── ServiceRejected        bad credentials, bad request: not retryable
"""


class AgentError(Exception):
    """Root of every error this package raises."""


class AgentMisuse(AgentError, ValueError):
    """An argument or a call at a wrong time: a bug on our side of the interface."""


class KnowledgeError(AgentError):
    """The knowledge folder cannot be used; the message names the file."""


class ModelError(AgentError):
    """A model cannot be used; the message names the file and how to get it."""


class ToolFailed(AgentError):
    """A tool could not do what it was asked. The message is told to the model, and to nobody else: it may quote what
    was asked for."""


class ServiceError(AgentError):
    """A speech or language service failed."""

    retryable = False

    def __init__(self, service: str, detail: str) -> None:
        super().__init__(f"{service}: {detail}")
        self.service = service
        self.detail = detail


class ServiceUnavailable(ServiceError):
    """The service did not answer, or not in time, or asked us to come back later."""

    retryable = True

    def __init__(self, service: str, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(service, detail)
        self.retry_after_s = retry_after_s
        """How long the service asked to be left alone; None: it did not say."""


class ServiceLate(ServiceUnavailable):
    """The service did not answer in time."""


class ServiceRejected(ServiceError):
    """The service understood and refused; asking again would not help."""
