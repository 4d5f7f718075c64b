# SPDX-License-Identifier: GPL-3.0-or-later
"""A dialog that stands (RFC 3261 section 12): what another process needs to go on with it."""

import pjsua2 as pj
from pydantic import BaseModel, ConfigDict

_TEXTS = ("call_id", "local_tag", "remote_tag", "local_uri", "remote_uri", "target")
_STEP = 1000
"""As media/native/dialog_state.cpp goes on."""
_NUMBERS = ("local_cseq", "remote_cseq", "sdp_id", "sdp_version")


class Dialog(BaseModel):
    """As media/native/dialog_state.hpp has it."""

    model_config = ConfigDict(frozen=True)

    call_id: str
    local_tag: str
    remote_tag: str
    local_uri: str
    """Our side, as From and To have it, without its tag."""
    remote_uri: str
    target: str
    """The far end's Contact."""
    routes: tuple[str, ...] = ()
    """Of our requests, the nearest first."""
    local_cseq: int
    """Of our next request."""
    remote_cseq: int
    """Of their last one; -1: there was none."""
    sdp_id: int = 0
    sdp_version: int = 0
    """Of the origin of our last session description (RFC 3264 section 8)."""

    @property
    def later(self) -> "Dialog":
        """With numbers beyond those of a request that was refused."""
        step = {"local_cseq": self.local_cseq + _STEP, "sdp_version": self.sdp_version + _STEP}
        return self.model_copy(update=step)

    @classmethod
    def of_native(cls, state: "pj.DialogState") -> "Dialog | None":
        """None: it is not established."""
        if not state.call_id:
            return None
        fields = {name: getattr(state, name) for name in (*_TEXTS, *_NUMBERS)}
        return cls(**fields, routes=tuple(state.routes))

    def to_native(self) -> "pj.DialogState":
        """The same for PJSIP."""
        state = pj.DialogState()
        for name in (*_TEXTS, *_NUMBERS):
            setattr(state, name, getattr(self, name))
        state.routes = pj.StringVector(list(self.routes))
        return state
