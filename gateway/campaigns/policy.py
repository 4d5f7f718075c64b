# SPDX-License-Identifier: GPL-3.0-or-later
"""How a campaign calls: whom when, how many at once, how often again, and what it may cost (docs/campaigns.md).

TOML file or JSON object > Policy, or every fault at once
"""

import re
import tomllib
from datetime import date, datetime, time
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from gateway.api.numbers import JSON_NUMBER
from gateway.campaigns.outcome import Outcome
from gateway.errors import Fault, PolicyError

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
RETRIED = (Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED, Outcome.MACHINE, Outcome.ABANDONED)
"""Outcomes after which somebody may be called again. After `UNKNOWN`: never."""
_TIME_OF_DAY = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
Column = Annotated[str, Field(min_length=1, max_length=64)]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone of the IANA database, like Europe/Berlin") from error
    return name


def _region(name: str) -> str:
    if len(name) != 2 or not name.isalpha():
        raise ValueError("must be a country's two letters, like US (ISO 3166-1)")
    return name.upper()


def _wall_clock(value: Any) -> Any:
    """`"24:00"` ends a day."""
    if value == "24:00":
        return "23:59:59.999999"
    is_text = isinstance(value, str) and re.fullmatch(_TIME_OF_DAY, value)
    if not is_text and not (isinstance(value, time) and value.tzinfo is None):
        raise ValueError('must be a time of day like "09:00", or "24:00"')
    return value


def _no_number(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError("must be a date, or a moment with an offset from UTC, not a number")
    return value


ZoneName = Annotated[str, AfterValidator(_zone)]
_TimeOfDay = Annotated[
    time,
    BeforeValidator(_wall_clock),
    WithJsonSchema({"type": "string", "pattern": f"^({_TIME_OF_DAY}|24:00)$"}),
]


class Part(BaseModel):
    """A table of the policy: unknown keys are faults, values do not change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True, populate_by_name=True
    )


class Window(Part):
    """When people may be called, by their own clocks."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS
    from_: Annotated[_TimeOfDay, Field(alias="from")]
    to: _TimeOfDay
    """`"24:00"`: the day's end. Before `from`: of the next day."""


class Backoff(Part):
    """After one outcome."""

    after_s: Annotated[tuple[Annotated[float, Field(ge=0), JSON_NUMBER], ...], Field(min_length=1)]
    """How long to wait before the next attempt, after the first, second... such outcome; the last one repeats."""
    max: Annotated[int, Field(ge=1, le=100), JSON_NUMBER] = 100
    """Attempts that may end so; after them the contact is done."""


class Attempts(Part):
    """How often somebody is called. An outcome without a table here is not tried again."""

    max: Annotated[int, Field(ge=1, le=100), JSON_NUMBER] = 3
    """Of each contact, in all."""
    max_per_day: Annotated[int, Field(ge=1, le=100), JSON_NUMBER] = 2
    """Of the contact's own day."""
    busy: Backoff | None = Backoff(after_s=(600, 1800))
    no_answer: Backoff | None = Backoff(after_s=(4 * 3600,))
    failed: Backoff | None = Backoff(after_s=(300, 1800))
    machine: Backoff | None = Backoff(after_s=(4 * 3600,))
    """Only when a machine gets no message (`machine.action = "retry"`)."""
    abandoned: Backoff | None = None
    """They were called, and found nobody: by default not again (in the USA not within 30 days without an agent)."""

    def backoff(self, outcome: Outcome) -> Backoff | None:
        """What follows this outcome; None: nothing."""
        return getattr(self, outcome.value) if outcome in RETRIED else None


class Budget(Part):
    """What may be spent: no call begins that could pass a cap, however long it lasted."""

    max_minutes: Annotated[float, Field(gt=0), JSON_NUMBER] | None = None
    """From answer to end, of all calls."""
    max_cost: Annotated[float, Field(gt=0), JSON_NUMBER] | None = None
    """In whatever currency the next two are in."""
    cost_per_minute: Annotated[float, Field(ge=0), JSON_NUMBER] = 0.0
    """Of answered calls, by the second."""
    cost_per_call: Annotated[float, Field(ge=0), JSON_NUMBER] = 0.0
    """Of each answered call, besides."""

    @model_validator(mode="after")
    def _cost_is_known(self) -> Self:
        if self.max_cost is not None and not (self.cost_per_minute or self.cost_per_call):
            raise ValueError("max_cost needs cost_per_minute or cost_per_call")
        return self


class Pacing(Part):
    """How many calls are made for how many conversations."""

    mode: Literal["fixed", "progressive", "predictive"] = "fixed"
    """fixed: as many as `concurrency` and `cps` allow. progressive: one for each free slot of `agents`. predictive:
    more than that, by how many people answer, as long as the share that find nobody stays under the cap."""
    agents: Annotated[int, Field(ge=1, le=10_000), JSON_NUMBER] | None = None
    """Conversations that can be held at once. None: as many as `concurrency`."""
    abandonment_cap: Annotated[float, Field(ge=0, le=1), JSON_NUMBER] = 0.03
    """Of the calls that people answer. 3 % is the law in the USA (47 CFR 64.1200(a)(7)) and the United Kingdom."""
    abandon_message: Annotated[str, Field(max_length=1000)] = "Sorry, nobody is free to talk to you now. Goodbye."
    """What those hear for whom no slot is free."""


class Machine(Part):
    """What to do about answering machines."""

    detect: StrictBool = True
    """Tell machines from people. False: the agent talks to whatever answers."""
    action: Literal["hang_up", "message", "retry"] = "hang_up"
    """message: say `message` after the beep. hang_up: the contact is done. retry: call again, as `attempts.machine`
    says."""
    message: Annotated[str, Field(max_length=2000)] = ""

    @model_validator(mode="after")
    def _message_is_there(self) -> Self:
        if (self.action == "message") != bool(self.message):
            raise ValueError('message and action = "message" need each other')
        return self


class ExtractField(Part):
    """Something to be learnt from each conversation: a column of the results."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    type: Literal["text", "number", "boolean", "choice"] = "text"
    question: Annotated[str, Field(min_length=1, max_length=500)]
    """What is to be found out, as one would ask it: `Did they confirm the appointment?`"""
    choices: Annotated[dict[str, tuple[str, ...]], Field(max_length=50)] = {}
    """Of a choice: each label, with examples of what people say who mean it."""

    @model_validator(mode="after")
    def _choices_fit(self) -> Self:
        if (self.type == "choice") != bool(self.choices):
            raise ValueError('choices and type = "choice" need each other')
        return self


class Policy(Part):
    """One campaign's."""

    agent: Annotated[str, Field(max_length=64)] | None = None
    """Who talks; None: the only agent of the configuration."""
    trunk: Annotated[str, Field(max_length=64)] | None = None
    """None: as the configuration chooses for each number."""
    concurrency: Annotated[int, Field(ge=1, le=10_000), JSON_NUMBER] = 5
    """Calls at once, those that ring among them."""
    cps: Annotated[float, Field(gt=0, le=1000), JSON_NUMBER] = 1.0
    """Calls begun in any second, of all gateways together."""
    ring_s: Annotated[float, Field(ge=5, le=180), JSON_NUMBER] = 30.0
    """How long it rings before we give up."""
    max_duration_s: Annotated[float, Field(ge=10, le=4 * 3600), JSON_NUMBER] = 600.0
    """Of a conversation."""
    caller_ids: Annotated[tuple[Annotated[str, Field(pattern=r"^\+[0-9]{4,15}$")], ...], Field(max_length=1000)] = ()
    """Our numbers, one of which each call shows; none: the trunk's."""
    caller_id_rotation: Literal["attempt", "contact"] = "contact"
    """attempt: another one for each attempt at the same contact. contact: always the same for the same contact."""
    local_presence: StrictBool = False
    """Of the caller ids prefer those that share the longest beginning with the number."""
    windows: Annotated[tuple[Window, ...], Field(min_length=1)] = (
        Window.model_validate({"days": ("mon", "tue", "wed", "thu", "fri"), "from": "09:00", "to": "20:00"}),
        Window.model_validate({"days": ("sat",), "from": "10:00", "to": "18:00"}),
    )
    """When people may be called, by their own clocks. By default within what the USA (8 to 21, 47 CFR 64.1200(c)(1))
    and most of Europe allow; France is stricter still (10 to 13, 14 to 20, Monday to Friday: décret 2022-1313)."""
    zone: ZoneName | None = None
    """Of contacts for which neither column nor number tells one. None: those are invalid."""
    region: Annotated[str, AfterValidator(_region)] | None = None
    """Country of numbers that are written without one."""
    holidays: tuple[Annotated[date, BeforeValidator(_no_number)], ...] = ()
    """Days on which nobody is called."""
    until: Annotated[datetime | None, BeforeValidator(_no_number)] = None
    """When the campaign ends, whoever has not been reached; with an offset from UTC."""
    attempts: Attempts = Attempts()
    budget: Budget = Budget()
    pacing: Pacing = Pacing()
    machine: Machine = Machine()
    number_column: Column = "number"
    zone_column: Column | None = None
    """Column with a time zone (`Europe/Berlin`); empty there: by the number."""
    consent_column: Column | None = None
    """Column that must say yes; others are not called."""
    metadata: Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=50)] = {}
    """For the agent, besides the columns of the list, which win."""
    extract: Annotated[tuple[ExtractField, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.until is not None and self.until.tzinfo is None:
            raise ValueError("until: needs an offset from UTC, like 2026-12-01T18:00:00+01:00")
        names = [field.name for field in self.extract]
        if len(set(names)) < len(names):
            raise ValueError("extract: two fields have the same name")
        if self.pacing.mode == "predictive" and (self.pacing.agents or self.concurrency) >= self.concurrency:
            raise ValueError("pacing: predictive needs more concurrency than agents")
        return self

    @property
    def agent_slots(self) -> int:
        """Conversations that can be held at once."""
        return min(self.pacing.agents or self.concurrency, self.concurrency)

    @classmethod
    def from_toml(cls, text: str, source: str) -> "Policy":
        """Raises `PolicyError` with every fault; `source` is what they are said to be in."""
        try:
            return cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise PolicyError((Fault(source, f"is no TOML: {error}"),)) from error
        except ValidationError as error:
            raise PolicyError(tuple(_fault(source, one) for one in error.errors())) from error


def _fault(source: str, error: Any) -> Fault:
    place = ".".join(str(part) for part in error["loc"])
    problem = error["msg"].removeprefix("Value error, ")
    return Fault(f"{source}: {place}" if place else source, problem)
