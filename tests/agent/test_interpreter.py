# SPDX-License-Identifier: GPL-3.0-or-later
"""A language model made an interpreter."""

from agent.config import AgentConfig
from agent.events import ReplyFinished, ReplyInterrupted, ReplyStarted, TurnCommitted
from agent.interpreter import Translator, interpreter_config
from agent.services.llm import Conversation, Message, Silence, TextDelta, ToolCall
from tests.fakes.scene import Scene
from tests.fakes.services import ScriptedLlm
from tests.fakes.virtual_time import in_virtual_time


async def test_the_model_is_told_the_languages_and_asked_for_what_was_said() -> None:
    llm = ScriptedLlm(["Hola, ", "Ana."])
    said = (Message("system", "You are a receptionist."), Message("user", "Hello, Ana."))
    events = [event async for event in Translator(llm, "English", "Spanish").reply(Conversation(said, "100"))]
    assert events == [TextDelta("Hola, "), TextDelta("Ana.")]
    (asked,) = llm.asked
    assert "in Spanish what the speaker says in English" in asked.messages[0].text
    assert asked.messages[1:] == (Message("user", "Hello, Ana."),)


async def test_only_the_last_messages_go_to_the_model() -> None:
    llm = ScriptedLlm(["Sí."])
    said = tuple(Message("user", str(number)) for number in range(20))
    assert [event async for event in Translator(llm, "en", "es").reply(Conversation(said))]
    assert [message.text for message in llm.asked[0].messages[1:]] == ["14", "15", "16", "17", "18", "19"]


async def test_an_interpreter_uses_no_tools_and_may_be_silent() -> None:
    llm = ScriptedLlm([ToolCall("hang_up")])
    translator = Translator(llm, "en", "es")
    assert [event async for event in translator.reply(Conversation((Message("user", "Um."),)))] == [Silence()]


def test_an_interpreters_session_only_passes_on_what_it_hears() -> None:
    config = interpreter_config(AgentConfig(greeting="Hello.", tools=("hang_up",)), "es", "Lucia")
    assert (config.greeting, config.prompt, config.tools, config.language, config.voice) == ("", "", (), "es", "Lucia")
    assert config.interruption.protected
    assert (config.silence.reprompt_after_s, config.silence.max_call_s, config.phrases.filler) == (0, 0, ())


@in_virtual_time
async def test_what_is_said_while_a_translation_is_heard_is_translated_after_it() -> None:
    config = interpreter_config(AgentConfig(), "en", None)
    async with Scene(
        config=config, llm=ScriptedLlm(["The first sentence, which takes a while to say."], ["Two."])
    ) as scene:
        await scene.leg.speak("one one one one")
        await scene.wait_for(ReplyStarted)
        await scene.leg.speak("two two two two")
        await scene.wait_for(ReplyFinished, 2)
        assert [turn.text for turn in scene.all(TurnCommitted)] == ["one one one one", "two two two two"]
        assert [reply.text for reply in scene.all(ReplyFinished)] == [
            "The first sentence, which takes a while to say.",
            "Two.",
        ]
        assert not scene.all(ReplyInterrupted)
