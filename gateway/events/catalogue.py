# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of event: when it is told, what is in its data, and whether it is kept. docs/events.md shows this."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from gateway.events.event import EventKind


@dataclass(frozen=True, slots=True)
class KindFacts:
    """What there is to know of a kind."""

    when: str
    data: Mapping[str, str]
    """Fields of the event's data, and what they hold."""
    is_kept: bool = True
    """False: told only to whoever follows the feed live; no webhook, no resuming, nothing on the disk."""


_PARTIES = {
    "direction": "`inbound` or `outbound`",
    "from": "the caller",
    "to": "who was called",
    "agent": "name of the agent, or null",
    "metadata": "as in the call",
}

_CAMPAIGN = {"campaign_id": "which", "name": "its name"}

CATALOGUE: Mapping[EventKind, KindFacts] = {
    "call.offered": KindFacts("An inbound call has come and is not answered yet.", _PARTIES),
    "call.dialing": KindFacts("An outbound call has been sent out.", _PARTIES),
    "call.progress": KindFacts(
        "The far end rings, or is otherwise on its way.",
        {"sip_code": "180, 183...", "early_media": "they are heard already"},
    ),
    "call.answered": KindFacts("The call stands.", {"codec": "name, or null", "srtp": "media is encrypted"}),
    "call.held": KindFacts("The call is on hold; again when somebody else holds it.", {"by": "`us` or `peer`"}),
    "call.resumed": KindFacts("Nobody holds the call any more.", {}),
    "call.ended": KindFacts(
        "The call is over: the last event of a call.",
        {
            **_PARTIES,
            "reason": "as `end_reason` of the session",
            "duration_ms": "since it was answered; null: it never was",
            "quality": "as `quality` of the session, or null",
            "far_end": "who took the call that we placed, as `far_end` of the session, or null",
            "far_end_confidence": "0 to 1, or null",
            "message_left": "a machine has recorded all of our message",
        },
    ),
    "call.activity": KindFacts(
        "Somebody has taken the call: at its begin, and when it is handed over.",
        {"activity": "`agent`, `stream`, `echo`, `play`...", "agent": "its name, or null"},
    ),
    "call.transfer": KindFacts(
        "A transfer has begun, goes on, or is decided.",
        {
            "to": "a SIP URI, or the id of our other call",
            "mode": "`blind` or `attended`",
            "status": "as `transfer.status` of the call",
            "sip_code": "what the far end told last, or null",
        },
    ),
    "call.succeeded": KindFacts(
        "Another far end has the place of the one before, who sent us there or whom it replaces; the call goes on.",
        {"cause": "`refer` or `replaces`", "peer": "address of who is there now"},
    ),
    "call.bridged": KindFacts("The call and another one hear each other.", {"other_call_id": "the other"}),
    "call.unbridged": KindFacts(
        "They do not any more.", {"other_call_id": "the other", "cause": "who or what has parted them"}
    ),
    "call.quality": KindFacts(
        "Every ten seconds while the call stands; the last figures come with `call.ended`.",
        {"quality": "as `quality` of the session, so far"},
        is_kept=False,
    ),
    "call.do_not_call": KindFacts(
        "The far end has asked an agent not to be called any more. No campaign calls these numbers again.",
        {"numbers": "by which they are known: E.164, or SIP URIs"},
    ),
    "transcript.partial": KindFacts(
        "While the caller speaks, at most four times a second.",
        {"turn_index": "of the turn that is being spoken", "text": "what it sounds like so far"},
        is_kept=False,
    ),
    "transcript.final": KindFacts(
        "Somebody has said something: the caller when the answer to it begins, the agent when it falls silent.",
        {
            "role": "`user` or `assistant`",
            "text": "all of it",
            "started_ms": "since the call was answered",
            "ended_ms": "likewise",
            "interrupted": "the caller broke in",
            "heard_text": "agent only: what was really sent; else null",
            "sources": "agent only: what the answer rests on, as in `knowledge.used`",
        },
    ),
    "turn.measured": KindFacts(
        "A turn has been answered, and the answer has ended.",
        {
            "index": "of the turn",
            "segments_ms": "contiguous parts of the response time, which sum to it",
            "response_ms": "end of the caller's speech to our first audible packet",
            "own_ms": "of it Parley's own share: neither waiting for a service nor for the end of the turn",
            "speculative": "begun before the caller had finished",
            "interrupted": "the caller broke in",
        },
    ),
    "silence.prompted": KindFacts(
        "The caller has said nothing for a while, and the agent asks, or takes leave.",
        {"number": "how many times in a row, from 1; 0: goodbye, the call ends", "text": "what is said"},
    ),
    "intent.recognized": KindFacts(
        "It is clear what the caller wants, perhaps before the turn is over; and when it is over.",
        {
            "turn_index": "of the turn",
            "label": "a name of `[agents.NAME.intents]`; null: none after all",
            "score": "likeness to its examples: cosine, up to 1",
            "is_final": "the turn is over",
        },
    ),
    "knowledge.used": KindFacts(
        "An answer that rests on something that was looked up has been heard, or the beginning of it.",
        {
            "turn_index": "of the turn it answers",
            "sources": "file or URL with its line, row or page, the best first: `hours.md:12`; `memory`, `lookup`...",
        },
    ),
    "tool.called": KindFacts(
        "A tool has done what the model wanted, or not. What it was given and what it gave is told to nobody else.",
        {
            "name": "`crm.get_order`, `transfer`...",
            "outcome": "`ok`, `failed`, `timeout` or `cancelled`",
            "took_ms": "from the model's wish to the result",
        },
    ),
    "caller.prosody": KindFacts(
        "An agent's answer to a turn begins: how the caller sounded in it. Null: it could not be told.",
        {
            "turn_index": "of the turn",
            "speech_ms": "of speech, without the pauses",
            "syllables_s": "how fast",
            "pace": "1.2: a fifth faster than the same caller's turns before",
            "level_dbov": "how loud, as it came over the wire",
            "louder_db": "than in the turns before",
            "pitch_hz": "median of the voice",
            "higher_semitones": "than in the turns before",
            "pauses_ms": "those of 200 ms and more within the turn",
            "cues": "of `fast`, `slow`, `loud`, `quiet`, `high`, `low`, `hesitant`, `agitated`, `confused`, `laughing`",
        },
    ),
    "language.detected": KindFacts(
        "The caller speaks another of the agent's languages than before, and is answered in it.",
        {"language": "ISO 639 code"},
    ),
    "far_end.recognized": KindFacts(
        "It is known who or what took a call that we placed and an agent conducts; again when that changes.",
        {
            "far_end": "`person`, `machine` (a recording), `voicemail`, `menu`, `hold` (queue, music), `fax`, `failed` "
            "(not in service), `unreachable` or `busy`",
            "cause": "what told it: `words`, `cadence` (length and pauses), `tone`, `music` or `judgement` (a model's)",
            "confidence": "0 to 1, or null",
        },
    ),
    "dtmf.received": KindFacts(
        "The far end pressed a key.", {"digit": "0-9 * # A-D; `*` when secret", "secret": "it is shown to nobody"}
    ),
    "recording.changed": KindFacts("The recording began, was paused, resumed or ended.", {"state": "as in the call"}),
    "playback.finished": KindFacts(
        "An announcement (`play`, `say`) has ended.",
        {
            "playback_id": "which",
            "end": "`completed`, `stopped`, `failed` or `hung_up`",
            "played_ms": "of it that were sent",
        },
    ),
    "trunk.alarm": KindFacts(
        "The calls of a trunk sound bad or fail too often (`[alarms]`), or no longer do: told of a call of it.",
        {
            "trunk": "its name",
            "symptom": "`mos`, `loss_percent` or `failed_percent`",
            "raised": "false: it is over",
            "value": "mean of the last calls",
            "limit": "as configured",
            "calls": "on which the value rests",
        },
    ),
    "trunk.state": KindFacts(
        "A trunk has gone, or is there again. `call_id` is empty: it is of no call.",
        {
            "trunk": "its name",
            "is_up": "false: calls go through others, as long as there are any",
            "cause": "`options`, `calls`, `registration`, or `rest`: its time is over",
        },
    ),
    "address.changed": KindFacts(
        "The router has another address outside, by `sip.stun`: registrations and calls are told. Of no call: "
        "`call_id` is empty.",
        {"address": "the new one", "previous": "the old one; empty: none was known"},
    ),
    "stream.connected": KindFacts(
        "A stream and its backend have found each other.",
        {"stream_id": "which", "reconnected": "it is not the first time"},
    ),
    "stream.disconnected": KindFacts(
        "A stream has lost its backend, for now.",
        {"stream_id": "which", "code": "why, of RFC 6455 (1006: it broke off)"},
    ),
    "stream.stopped": KindFacts(
        "A stream is over.",
        {
            "stream_id": "which",
            "reason": "`stopped`, `backend_closed`, `backend_hung_up`, `backend_unreachable` or `call_ended`",
            "handoff_data": "protocol conversationrelay only: what the backend ended with, or null",
        },
    ),
    "campaign.started": KindFacts("A campaign has begun to call. `call_id` is empty, as with those below.", _CAMPAIGN),
    "campaign.paused": KindFacts("It begins no calls for now.", _CAMPAIGN),
    "campaign.resumed": KindFacts("It begins calls again.", _CAMPAIGN),
    "campaign.ended": KindFacts(
        "It will begin no call any more, and none of its calls stands (`cancelled`: some may).",
        {**_CAMPAIGN, "reason": "`completed`, `cancelled`, `drained`, `until` or `budget`"},
    ),
    "campaign.outcome": KindFacts(
        "An attempt at a contact is over. Of its call, if one was placed.",
        {
            "campaign_id": "which",
            "line": "of the list",
            "number": "that was called",
            "outcome": "`talked`, `machine`, `message_left`, `busy`, `no_answer`, `rejected`, `invalid_number`, `fax`, "
            "`failed`, `abandoned`, `cancelled` or `unknown`",
            "is_final": "the contact is done; false: it is called again",
            "attempts": "how many there were",
            "call_id": "of the call",
            "far_end": "as in `far_end.recognized`, or null",
            "duration_s": "from answer to end; null: it was not answered",
            "disposition": "what the policy's `extract` wants to know, by name",
            "metadata": "the columns of the list",
        },
    ),
    "campaign.progress": KindFacts(
        "Every second while a campaign runs.",
        {
            "campaign_id": "which",
            "contacts": "how many",
            "done": "of them",
            "dialing": "calls that are not answered yet",
            "talking": "calls that are",
            "outcomes": "contacts that are done, by outcome",
        },
        is_kept=False,
    ),
    "work.progress": KindFacts(
        "Something that takes a while has begun, goes on (at most twice a second), or is over. `call_id` is empty.",
        {
            "id": "which, as in `GET /work`",
            "kind": "`knowledge` (documents are indexed), `campaign_list` (a list is read), `phrases` (speech is "
            "rendered ahead) or `engines` (the offline models are loaded)",
            "name": "of the agent, or the campaign's id",
            "done": "how much",
            "total": "of how much; null: nobody can tell, or not yet",
            "unit": "what is counted",
            "state": "`running`, `done` or `failed`",
            "detail": "more in words; of what has failed, why",
        },
        is_kept=False,
    ),
    "cluster.node": KindFacts(
        "A node of the cluster has come, begins to drain, is gone or dead, as this gateway sees it. `call_id` is "
        "empty, as with the next two.",
        {
            "node": "its name",
            "state": "`up`, `draining`, `gone` (no heartbeat any more) or `dead` (nor a leave: others take its calls)",
        },
    ),
    "cluster.redis_lost": KindFacts(
        "The Redis of the cluster does not answer: calls go on, the nodes do not meet.", {}
    ),
    "cluster.redis_back": KindFacts("It answers again.", {}),
    "store.lost": KindFacts(
        "The database does not answer, or takes nothing: calls go on, and what is to be kept of them waits in memory "
        "and in a file. `call_id` is empty.",
        {},
    ),
    "store.back": KindFacts("It takes everything again, also what has waited.", {}),
    "call.adopted": KindFacts(
        "A call of a node that is dead, or drains, has been taken over: told by the node that has it now.",
        {
            "from_node": "who had it",
            "cause": "`death` or `drain`",
            "silent_ms": "since the node that had it last told of itself, until the far end has answered us",
        },
    ),
}


KEPT_KINDS: frozenset[EventKind] = frozenset(kind for kind, facts in CATALOGUE.items() if facts.is_kept)
"""Those that are in the log."""


def kinds_matching(patterns: Iterable[str]) -> frozenset[EventKind]:
    """The kinds that `call.ended` or `transcript.*` name; none given: all. Raises `ValueError` for what names none."""
    found: set[EventKind] = set()
    named = list(patterns)
    for pattern in named:
        family = pattern.removesuffix("*") if pattern.endswith(".*") else None
        matching = [kind for kind in CATALOGUE if kind == pattern or (family is not None and kind.startswith(family))]
        if not matching:
            raise ValueError(f"{pattern!r} is no kind of event: see docs/events.md")
        found.update(matching)
    return frozenset(found if named else cast("set[EventKind]", CATALOGUE.keys()))


def catalogue_table() -> str:
    """The catalogue in Markdown."""
    rows = ["| kind | when | data | kept |", "|---|---|---|---|"]
    for kind, facts in CATALOGUE.items():
        data = "; ".join(f"`{field}`: {meaning}" for field, meaning in facts.data.items()) or "-"
        rows.append(f"| `{kind}` | {facts.when} | {data} | {'yes' if facts.is_kept else 'live only'} |")
    return "\n".join(rows) + "\n"
