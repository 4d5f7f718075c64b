# SPDX-License-Identifier: GPL-3.0-or-later
"""What a language model's answer is taken for."""

import pytest

from agent.errors import ServiceLate
from agent.far_end_judge import LlmFarEndJudge
from agent.far_end_kind import FarEndKind
from tests.fakes.services import ScriptedLlm
from tests.fakes.virtual_time import in_virtual_time


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("voicemail", FarEndKind.VOICEMAIL),
        ("Person.", FarEndKind.PERSON),
        ("It is a menu. A person would not say that.", FarEndKind.MENU),
        ("Either a person or a voicemail", FarEndKind.UNKNOWN),
        ("", FarEndKind.UNKNOWN),
    ],
)
def test_one_word_is_a_judgement_and_more_are_none(answer: str, kind: FarEndKind) -> None:
    llm = ScriptedLlm([0.1, answer])

    @in_virtual_time
    async def judge() -> FarEndKind:
        return await LlmFarEndJudge(llm).judge("The Millers are in the garden.")

    assert judge() is kind
    assert llm.asked[0].messages[-1].text == "The Millers are in the garden."


@in_virtual_time
async def test_a_slow_model_is_not_waited_for() -> None:
    with pytest.raises(ServiceLate):
        await LlmFarEndJudge(ScriptedLlm([2.0, "person"])).judge("The Millers are in the garden.")
