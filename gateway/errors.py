# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong in the gateway, split by blame.

    GatewayError
    ├── GatewayMisuse          our own call is wrong
    ├── ConfigError            the operator's settings: all faults at once (`faults`)
    ├── StartupError           this machine does not allow it: a port in use, a folder that cannot be written
    ├── SipThreadFailed        the SIP thread ended of itself: a bug, and the end of the process
    ├── StoreError             the database failed while it was running: a full disk, a lost connection
    ├── UrlError               a URL that somebody gave us to connect to (`field`)
    │   ├── UrlRefused             it leads where strangers must not reach, or is none
    │   └── UrlUnreachable         its host has no address, or does not answer
    ├── FlowFailed             a call's flow URL does not say what to do with it
    ├── TokenRefused           a stream token that is unknown, used, expired or for another call
    ├── ScopeMissing           a key that may not do this (`scope`)
    ├── OutOfReach             a key that is limited to some agents, tags or trunks, and asks for more
    ├── TooManyTokens          too many stream tokens are outstanding: ask again later
    ├── TooManyOnlookers       too many WebSockets look on: try again later
    ├── PolicyError            a campaign's policy: all faults at once (`faults`)
    ├── CampaignError          a request about a campaign that cannot be carried out
    │   ├── ListUnreadable         a list of people to call that is no list
    │   ├── NoSuchCampaign         whoever asked named a campaign that is not there
    │   └── WrongCampaignState     the campaign is not in a state that allows it (adding to one that is over)
    ├── ClusterError           a request that another node was to answer
    │   ├── ClusterUnreachable     the nodes cannot reach each other: Redis is gone
    │   ├── NoSuchNode             whoever asked named a node that is not there
    │   ├── NodeSilent             the node did not answer in time
    │   ├── NodeGone               the node that had the call is dead
    │   └── OnlyThere              this can be had at the other node itself only: its address is named
    ├── SignatureRefused       a message that is not signed with a known secret, or is old
    └── CallError              a request about a call that cannot be carried out
        ├── NoSuchCall             whoever asked named a call that is not there
        ├── NoSuchAgent            whoever asked named an agent that is not configured
        ├── NoSuchVersion          whoever asked named a version of an agent that is not there
        ├── StaleVersion           an agent was changed by somebody else since it was looked at
        ├── BadNote                a document for an agent's knowledge that cannot be one
        ├── UnknownLanguage        an agent is to understand what its speech recognition does not know
        ├── NoSuchTrunk            whoever asked named a trunk that is not configured
        ├── DestinationBarred      the trunk, or a far end that sends us there, may not dial this number
        ├── TrunkUnreachable       no server of the trunk can be found: it may work again later
        ├── BadAddress             whoever asked gave an address that cannot be dialled
        ├── NoSuchStream           whoever asked named a stream that is not there
        ├── BadStreamOrder         whoever asked wants a stream that cannot be
        ├── NoSuchVoice            whoever asked named a voice or language that nobody speaks
        ├── BadPrompt              whoever asked named a recording that is not there, or cannot be played
        ├── IdempotencyConflict    whoever asked used the key of another request
        ├── WrongCallState         the call is not in a state that allows it (holding a call that rings)
        ├── TooManyCalls           we are full, or draining: ask again later
        ├── CallRefused            the far end said no (`sip_code`)
        └── CallRejected           whoever decides over an inbound call said no (`code`)

`parley serve` ends with exit code 2 on a ConfigError or a StartupError, its message on standard error.
"""

from dataclasses import dataclass


class GatewayError(Exception):
    """Root of every error this package raises."""


class GatewayMisuse(GatewayError, ValueError):
    """An argument or a call at a wrong time: a bug on our side of the interface."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with the settings."""

    source: str
    """Where it was set: `parley.toml: sip.port`, or the environment variable's name."""
    problem: str
    """What is wrong, and what is allowed."""

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}"


class ConfigError(GatewayError):
    """The settings cannot be used; every fault that could be found is in `faults`."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class StartupError(GatewayError):
    """The gateway cannot start on this machine as it is; the message says what to change."""


class StunError(GatewayError):
    """A STUN server has not told our address; the message says what it did instead."""


class StoreError(GatewayError):
    """The store could not do what somebody is waiting for; it may work again later."""


class SessionHeld(GatewayError):
    """A session must not be erased (legal hold); the message says since when, and why."""


class SipThreadFailed(GatewayError):
    """The SIP thread ended of itself. The process must end too: no call can go on, none can come."""


class UrlError(GatewayError):
    """A URL from outside cannot be used; the message begins with its field and repeats nothing of it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class UrlRefused(UrlError):
    """It leads where a stranger's URL must not lead, or is not a URL for this use."""


class UrlUnreachable(UrlError):
    """It is right as it stands, but nobody answers there; it may work again later."""


class FlowFailed(GatewayError):
    """A call's flow URL did not say what to do with it; the message says why, and repeats nothing it sent."""


class PolicyError(GatewayError):
    """A campaign's policy cannot be used; every fault that could be found is in `faults`."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class CampaignError(GatewayError):
    """A request about a campaign cannot be carried out."""


class ListUnreadable(CampaignError, ValueError):
    """The list cannot be read on: the message says where and why, and repeats nothing but names of columns."""


class NoSuchCampaign(CampaignError):
    """There is no such campaign, or not any more."""

    def __init__(self, campaign_id: str) -> None:
        super().__init__(f"there is no campaign {campaign_id}")
        self.campaign_id = campaign_id


class WrongCampaignState(CampaignError):
    """The campaign's state does not allow what was asked."""


class SignatureRefused(GatewayError):
    """The message is not signed with a known secret, or is too old."""


class TokenRefused(GatewayError):
    """The token does not open this; the message says why, and the token is used up."""


class ScopeMissing(GatewayError):
    """The key has not the scope that the request needs."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"the key has not the scope {scope}")
        self.scope = scope


class OutOfReach(GatewayError):
    """The key is limited to some agents, tags or trunks, and this belongs to none of them."""


class TooManyTokens(GatewayError):
    """More tokens are outstanding than are kept."""


class TooManyOnlookers(GatewayError):
    """More WebSockets look on than may."""


class CallError(GatewayError):
    """A request about a call cannot be carried out."""


class NoSuchCall(CallError):
    """There is no such call, or not any more."""

    def __init__(self, call_id: str) -> None:
        super().__init__(f"there is no call {call_id}")
        self.call_id = call_id


class NoSuchAgent(CallError):
    """No agent of this name is configured."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no agent {name!r}: see [agents.NAME] in the configuration"
            if name
            else "several agents are configured: name one"
        )
        self.name = name


class NoSuchVersion(CallError):
    """The agent has no such version."""

    def __init__(self, agent: str, version: int) -> None:
        super().__init__(f"agent {agent!r} has no version {version}")


class StaleVersion(CallError):
    """The agent has been changed since."""

    def __init__(self, agent: str) -> None:
        super().__init__(f"agent {agent!r} has been changed since you looked at it: look again")


class BadNote(CallError, ValueError):
    """The document cannot be one; the message says why."""


class UnknownLanguage(CallError, ValueError):
    """The agent's speech recognition does not know the language."""


class NoSuchTrunk(CallError):
    """No trunk of this name is configured for outgoing calls, or none at all."""


class DestinationBarred(CallError):
    """Nobody may dial this number this way (toll guard); the message does not repeat it."""


class TrunkUnreachable(CallError):
    """None of the trunk's hosts has an address."""


class BadAddress(CallError, ValueError):
    """The address cannot be dialled; the message says why."""


class NoSuchStream(CallError):
    """There is no such stream, or not any more."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(f"there is no stream {stream_id}")
        self.stream_id = stream_id


class BadStreamOrder(CallError, ValueError):
    """No stream can be as it was asked for; the message says why."""


class NoSuchVoice(CallError):
    """There is no such voice, or none for this language."""


class BadPrompt(CallError, ValueError):
    """The recording is not where it should be, or is not one that can be played; the message says why."""


class IdempotencyConflict(CallError):
    """The idempotency key belongs to a request with another body."""


class WrongCallState(CallError):
    """The call's state does not allow what was asked."""


class TooManyCalls(CallError):
    """The gateway takes no more calls now: `sip.max_calls` is reached, or it is shutting down."""


class CallRefused(CallError):
    """The far end refused the call or the request."""

    def __init__(self, sip_code: int, reason: str) -> None:
        super().__init__(f"{sip_code} {reason}".rstrip())
        self.sip_code = sip_code
        self.reason = reason


class CallRejected(CallError):
    """Whoever decides over an inbound call (a backend, the API) does not want it."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"rejected with {code}")
        self.code = code
        """SIP status to answer with, 400 to 699."""
        self.reason = reason
        """Reason phrase to answer with; empty: the usual one."""


class ClusterError(GatewayError):
    """Root of what goes wrong between nodes."""


class ClusterUnreachable(ClusterError):
    """Redis does not answer, so nothing is known of other nodes."""


class NoSuchNode(ClusterError):
    """No living node has this name."""


class NodeSilent(ClusterError):
    """A node lives and has not answered."""


class NodeGone(ClusterError):
    """A node has died, with what was asked of it."""


class OnlyThere(ClusterError):
    """The call is at another node, and this cannot be passed on."""
