# SPDX-License-Identifier: GPL-3.0-or-later
"""What a campaign wants of one call, in place of what its agent does on calls of its own (`[agents.NAME.far_end]`)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent.config import AgentConfig, FarEndConfig
from gateway.errors import GatewayMisuse

MachineAction = Literal["hang_up", "message", "retry"]
"""What a machine gets. `retry`: nothing either, and they are called again, which is the campaign's affair."""

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_GOODBYE_S = 15.0
"""Of a call that lasts too long so much is left for taking leave."""


@dataclass(frozen=True, slots=True)
class CampaignOrder:
    """One call's. Raises `GatewayMisuse` when `message` and the action "message" are not together."""

    machine_action: MachineAction = "hang_up"
    message: str = ""
    """For `machine_action` "message": plain text, as it is to be said to this contact."""
    max_duration_s: float | None = None
    """From the answer on, whatever has the call: then it is hung up (`max_call`). None: as the agent does."""
    detect: bool = True
    """Tell machines from people; False: talk to whatever answers."""
    about: Mapping[str, str] = field(default_factory=dict)
    """What the list says of whom we call: for the agent's prompt, and for `{column}` in prompt and greeting."""

    def __post_init__(self) -> None:
        if (self.machine_action == "message") != bool(self.message.strip()):
            raise GatewayMisuse('a message and machine_action "message" need each other')
        if self.max_duration_s is not None and self.max_duration_s <= 0:
            raise GatewayMisuse("a call lasts longer than nothing")

    def applied_to(self, config: AgentConfig) -> AgentConfig:
        """The agent, as it is on this call."""
        leaves_message = self.machine_action == "message"
        far_end = config.far_end.model_dump() | {
            "recognize": self.detect,
            "voicemail": "message" if leaves_message else "hang_up",
            "message": self.message,
        }
        update: dict[str, object] = {
            "far_end": FarEndConfig.model_validate(far_end),
            "greeting": filled_in(config.greeting, self.about),
            "prompt": self._prompt(config.prompt),
        }
        if self.max_duration_s is not None:
            usual_s = config.silence.max_call_s or self.max_duration_s
            # The agent says goodbye before the call is cut off.
            leave_s = self.max_duration_s - min(_GOODBYE_S, self.max_duration_s / 4)
            update["silence"] = config.silence.model_copy(update={"max_call_s": min(usual_s, leave_s)})
        return config.model_copy(update=update)

    def _prompt(self, prompt: str) -> str:
        known = "\n".join(f"- {name}: {value}" for name, value in self.about.items() if value)
        told = filled_in(prompt, self.about)
        return f"{told}\n\nYou have called somebody. What is known of them and of the call:\n{known}" if known else told


def filled_in(text: str, about: Mapping[str, str]) -> str:
    """`Hello {name}`: with the column `name` of the list; empty where that is, unchanged where there is no column."""
    return _PLACEHOLDER.sub(lambda found: about.get(found[1].strip(), found[0]), text).strip()
