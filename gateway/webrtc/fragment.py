# SPDX-License-Identifier: GPL-3.0-or-later
"""`application/trickle-ice-sdpfrag` (RFC 8840 section 9): candidates that came later, or an ICE restart."""

from collections.abc import Sequence
from dataclasses import dataclass

from aioice import Candidate

from gateway.webrtc.answer import ice_lines
from gateway.webrtc.offer import MAX_BYTES, BadOffer, IceCredentials, candidates_of, credentials_of

CONTENT_TYPE = "application/trickle-ice-sdpfrag"


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a PATCH of the browser says."""

    ice: IceCredentials
    """Of the generation that the candidates are of; new ones are a restart (RFC 9725 section 4.3.3)."""
    candidates: tuple[Candidate, ...]
    is_complete: bool

    @classmethod
    def parse(cls, text: str) -> "Fragment":
        """Raises `BadOffer`."""
        if len(text) > MAX_BYTES:
            raise BadOffer(f"fragment: longer than {MAX_BYTES} bytes")
        attributes = [line[2:].partition(":")[::2] for line in text.splitlines() if line.startswith("a=")]
        if not attributes:
            raise BadOffer("fragment: has no a= line")
        first = {name.strip(): value.strip() for name, value in reversed(attributes)}
        candidates = [value.strip() for name, value in attributes if name.strip() == "candidate"]
        return cls(
            credentials_of(first.get("ice-ufrag"), first.get("ice-pwd")),
            candidates_of(candidates),
            "end-of-candidates" in first,
        )


def write_fragment(mid: str, ice: IceCredentials, candidates: Sequence[Candidate]) -> str:
    """Our side after a restart."""
    lines = ["m=audio 9 UDP/TLS/RTP/SAVPF 0", f"a=mid:{mid}", *ice_lines(ice, candidates)]
    return "\r\n".join(lines) + "\r\n"
