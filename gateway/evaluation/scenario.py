# SPDX-License-Identifier: GPL-3.0-or-later
"""A scenario file: who calls, what is said when, and what must be heard of it. All faults are reported together.

[[step]]                                  a scenario is a list of steps, one verb each: say, play, keys, wait_ms
say = ["I would like to", 800, "park."]   a number is a pause within the utterance, in milliseconds
into_answer_ms = 800                      begin so long after the agent has begun to speak; without it, when the
                                          agent has answered and is quiet
expect.heard = "free parking"             about this step: from its beginning to that of the next one

[expect]                                  about the whole call
end_reason = "goodbye"
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from gateway.errors import ConfigError, Fault

Milliseconds = Annotated[int, Field(ge=0, le=120_000)]


def _compiled(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return re.compile(value, re.IGNORECASE)
    except re.error as fault:
        raise ValueError(f"{value!r} is not a regular expression: {fault}") from fault


Pattern = Annotated[re.Pattern[str], BeforeValidator(_compiled)]
"""Case is ignored; it may match anywhere."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Echo(_Table):
    """The caller's telephone returns the agent's own voice."""

    delay_ms: Annotated[int, Field(ge=100, le=500)] = 150
    """Less than 100 cannot be made up here: audio is written that far ahead."""
    loss_db: Annotated[float, Field(ge=0, le=60)] = 20.0


class CallerTable(_Table):
    """Voice and line of the caller; a step may differ in `pace` and `level_dbov`."""

    pace: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0
    """Of the offline voice: 1.3 speaks faster."""
    level_dbov: Annotated[float, Field(ge=-60, le=-6)] = -22.0
    """Of the speech."""
    noise: Literal["none", "white", "pink"] | Path = "none"
    """Around the caller all the time: a kind, or a recording that is repeated."""
    snr_db: Annotated[float, Field(ge=-10, le=60)] = 20.0
    """How far the noise lies below `level_dbov`."""
    echo: Echo | None = None
    seed: int = 1
    """Of the noise."""


class StepExpectation(_Table):
    """What must be true of one step."""

    heard: Pattern | None = None
    """Of what the caller heard, recognised by the offline engine."""
    not_heard: Pattern | None = None
    heard_text: str | None = None
    """The words themselves, of which `max_word_error` may be wrong."""
    understood: Pattern | None = None
    """Of what the agent took the caller to say (session record)."""
    understood_text: str | None = None
    max_word_error: Annotated[float, Field(ge=0, le=1)] = 0.2
    answered: bool | None = None
    """False: nothing must be heard."""
    max_response_ms: Milliseconds | None = None
    """Of every repetition: end of the caller's speech to the first sample of the answer."""
    min_response_ms: Annotated[int, Field(ge=-60_000, le=120_000)] | None = None
    """Less is an answer into the caller's speech or thought."""
    stops: bool | None = None
    """Whether the agent falls silent when this is said into its answer."""
    stops_within_ms: Milliseconds | None = None
    """From the first sample of this utterance."""


class CallExpectation(_Table):
    """What must be true of the call, over all repetitions."""

    heard: Pattern | None = None
    not_heard: Pattern | None = None
    p50_response_ms: Milliseconds | None = None
    p95_response_ms: Milliseconds | None = None
    end_reason: str | None = None
    """As the session record says."""
    hung_up_by: Literal["agent", "caller"] | None = None
    tools: tuple[str, ...] = ()
    """That the agent has called (session record)."""
    min_duration_s: Annotated[float, Field(ge=0)] | None = None
    max_duration_s: Annotated[float, Field(ge=0)] | None = None


class Step(_Table):
    """One thing the caller does."""

    say: tuple[str | int, ...] = ()
    """Text for the offline voice, and pauses in milliseconds."""
    play: Path | None = None
    """A WAV file; relative to the scenario's folder."""
    keys: Annotated[str, Field(pattern=r"^[0-9*#A-Da-d,w]{0,64}$")] = ""
    wait_ms: Milliseconds | None = None
    """Say nothing for so long."""
    into_answer_ms: Milliseconds | None = None
    """Begin when the agent has been speaking for so long."""
    pace: Annotated[float, Field(ge=0.5, le=2.0)] | None = None
    level_dbov: Annotated[float, Field(ge=-60, le=-6)] | None = None
    expect: StepExpectation = StepExpectation()

    @model_validator(mode="before")
    @classmethod
    def _one_text_is_a_list(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("say"), str):
            return {**data, "say": [data["say"]]}
        return data

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        verbs = [bool(self.say), self.play is not None, bool(self.keys), self.wait_ms is not None]
        if sum(verbs) != 1:
            raise ValueError("a step has one of say, play, keys, wait_ms")
        if self.say and not any(isinstance(part, str) and part.strip() for part in self.say):
            raise ValueError("say has no words")
        if any(isinstance(part, int) and not 0 <= part <= 60_000 for part in self.say):
            raise ValueError("a pause within say is 0 to 60000 ms")
        if self.wait_ms is not None and self.into_answer_ms is not None:
            raise ValueError("wait_ms begins when the agent is quiet, into_answer_ms is for what is said")
        return self

    @property
    def label(self) -> str:
        """For tables."""
        if self.say:
            return " ".join(f"({part} ms)" if isinstance(part, int) else part for part in self.say)
        if self.play is not None:
            return self.play.name
        return f"{len(self.keys)} keys" if self.keys else f"silence, {self.wait_ms} ms"


class Scenario(_Table):
    """One file."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    description: str = ""
    dial: str = "agent"
    """User part of the address, when the gateway is started for the evaluation."""
    codec: Literal["pcmu", "pcma", "g722", "l16", "opus"] = "pcmu"
    repeat: Annotated[int, Field(ge=1, le=1000)] = 1
    greeting: bool = True
    """The agent speaks first: wait for that."""
    gap_ms: Annotated[int, Field(ge=300, le=10_000)] = 1_000
    """After so much silence the agent's answer is over."""
    answer_wait_ms: Milliseconds = 10_000
    """How long an answer is waited for."""
    hang_up_wait_ms: Milliseconds = 0
    """After the last step: how long the agent may take to hang up before the caller does."""
    caller: CallerTable = CallerTable()
    step: tuple[Step, ...]
    expect: CallExpectation = CallExpectation()
    folder: Path = Field(default=Path(), exclude=True)
    """Where the file lies."""

    @model_validator(mode="after")
    def _has_a_step(self) -> Self:
        if not self.step:
            raise ValueError("there is no [[step]]")
        return self

    @property
    def files(self) -> list[Path]:
        """The recordings that it needs."""
        noise = [self.caller.noise] if isinstance(self.caller.noise, Path) else []
        return [self.folder / path for path in (*noise, *(step.play for step in self.step if step.play))]

    @property
    def wants_record(self) -> bool:
        """It asks for what only the gateway knows."""
        steps = (step.expect for step in self.step)
        of_steps = any(one.understood is not None or one.understood_text is not None for one in steps)
        return of_steps or bool(self.expect.tools) or self.expect.end_reason is not None


def load_scenario(path: Path) -> Scenario:
    """Read a file. Raises `ConfigError` with every fault, each with file and key."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError((Fault(str(path), error.strerror or "cannot be read"),)) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError((Fault(str(path), f"is not TOML: {error}"),)) from error
    data.pop("folder", None)
    try:
        scenario = Scenario.model_validate({"name": path.stem, **data, "folder": path.parent})
    except ValidationError as error:
        raise ConfigError(tuple(_fault(path, one["loc"], one["msg"]) for one in error.errors())) from error
    missing = tuple(Fault(str(path), f"there is no file {file}") for file in scenario.files if not file.is_file())
    if missing:
        raise ConfigError(missing)
    return scenario


def _fault(path: Path, where: tuple[int | str, ...], message: str) -> Fault:
    """`step[2].say`, the first step being 1."""
    key = ""
    for part in where:
        key += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if key else str(part)
    return Fault(f"{path}: {key}" if key else str(path), message.removeprefix("Value error, "))
