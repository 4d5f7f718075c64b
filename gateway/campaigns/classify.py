# SPDX-License-Identifier: GPL-3.0-or-later
"""The outcome of an attempt, by how its call went."""

from gateway.campaigns.line import CallReport
from gateway.campaigns.outcome import Outcome

_BY_FAR_END = {
    "machine": Outcome.MACHINE,
    "voicemail": Outcome.MACHINE,
    "menu": Outcome.MACHINE,
    "hold": Outcome.MACHINE,
    "fax": Outcome.FAX,
    "busy": Outcome.BUSY,
    "unreachable": Outcome.NO_ANSWER,
    "failed": Outcome.INVALID_NUMBER,
}
_BY_CODE = {
    403: Outcome.REJECTED,
    404: Outcome.INVALID_NUMBER,
    408: Outcome.NO_ANSWER,
    410: Outcome.INVALID_NUMBER,
    480: Outcome.NO_ANSWER,
    484: Outcome.INVALID_NUMBER,
    486: Outcome.BUSY,
    487: Outcome.NO_ANSWER,
    600: Outcome.BUSY,
    603: Outcome.REJECTED,
    604: Outcome.INVALID_NUMBER,
    607: Outcome.REJECTED,
    608: Outcome.REJECTED,
}
"""RFC 3261 section 21, RFC 8197 (607), RFC 8688 (608)."""
_OUR_FAULTS = frozenset({"no_audio", "failed", "media_timeout", "service_failure", "no_codec", "lost"})


def outcome_of(report: CallReport) -> Outcome:
    """Of a call that is over."""
    if report.answered_at is None:
        return _not_answered(report)
    if report.message_left:
        return Outcome.MESSAGE_LEFT
    if report.far_end in _BY_FAR_END:
        return _BY_FAR_END[report.far_end]
    if report.far_end is None and report.end_reason in _OUR_FAULTS:
        return Outcome.FAILED
    return Outcome.TALKED


def _not_answered(report: CallReport) -> Outcome:
    if report.end_reason == "campaign_cancelled":
        return Outcome.CANCELLED
    if report.far_end in _BY_FAR_END:  # heard in early media: an announcement, a voicemail that does not answer
        return _BY_FAR_END[report.far_end]
    if report.end_reason == "timeout":  # we had waited long enough
        return Outcome.NO_ANSWER
    return _BY_CODE.get(report.sip_code, Outcome.FAILED)
