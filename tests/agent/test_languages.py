# SPDX-License-Identifier: GPL-3.0-or-later
"""Which language the caller speaks."""

from agent.config import AgentConfig
from agent.events import LanguageDetected, ReplyFinished
from agent.languages import LanguageChanged, Languages
from agent.services.llm import ContextNote
from agent.services.stt import Transcript
from tests.fakes.scene import QUICK, Scene
from tests.fakes.virtual_time import in_virtual_time


def heard(*turns: tuple[str, str]) -> list[LanguageChanged]:
    languages = Languages("en", frozenset({"es", "fr"}))
    for language, text in turns:
        languages.receive_transcript(Transcript(text, True, 0.9, language))
    return languages.events()


def test_a_sentence_in_another_language_changes_it() -> None:
    assert heard(("es", "quiero hablar con alguien")) == [LanguageChanged("es")]
    assert heard(("es-MX", "quiero hablar con alguien")) == [LanguageChanged("es")]


def test_a_word_or_two_need_a_second_turn() -> None:
    assert heard(("es", "hola")) == []
    assert heard(("es", "hola"), ("es", "buenas")) == [LanguageChanged("es")]
    assert heard(("es", "hola"), ("en", "hello"), ("es", "buenas")) == []
    assert heard(("es", "no"), ("fr", "non")) == []


def test_a_language_without_a_voice_and_no_language_at_all_change_nothing() -> None:
    assert heard(("de", "ich möchte mit jemandem sprechen")) == []
    assert heard(("", "quiero hablar con alguien")) == []


def test_the_caller_may_change_back() -> None:
    turns = (("es", "quiero hablar con alguien"), ("es", "sí"), ("en", "well let us speak English"))
    assert heard(*turns) == [LanguageChanged("es"), LanguageChanged("en")]


@in_virtual_time
async def test_who_changes_the_language_is_answered_in_it_and_with_its_voice() -> None:
    config = AgentConfig(greeting="", voice="Joe", voices={"es": "Lucia"}, turn=QUICK)
    async with Scene(config=config) as scene:
        scene.stt.language = "en"
        await scene.leg.speak("one two three four")
        await scene.wait_for(ReplyFinished)
        scene.stt.language = "es"
        await scene.leg.speak("uno dos tres cuatro")
        await scene.wait_for(ReplyFinished, 2)
        assert scene.all(LanguageDetected) == [LanguageDetected("es")]
        assert (scene.tts.voices[0], scene.tts.voices[-1]) == ("Joe", "Lucia")
        assert scene.llm.asked[-1].notes == (
            ContextNote("caller", "The caller speaks 'es' (ISO 639) now: answer in it."),
        )
        scene.stt.language = "en"
        await scene.leg.speak("five six seven eight")
        await scene.wait_for(ReplyFinished, 3)
        assert scene.tts.voices[-1] == "Joe"
