# SPDX-License-Identifier: GPL-3.0-or-later
"""What services are asked when the caller pauses, or speaks over us: the words, how hesitant they sound, whether the
turn is over. The answers go to `TurnTaking`, which decides.

A pause begins > `judge` (the end-of-turn model, early) ... `ask` > transcript, voice, that model's answer
Somebody speaks over us > `ask_words`
"""

from collections.abc import Callable
from dataclasses import replace

from agent.caller_voice import CallerVoice
from agent.config import AgentConfig
from agent.dialogue import AgentServices, Dialogue
from agent.errors import ServiceError
from agent.judgement import Judgement, filled
from agent.languages import Languages
from agent.recognition import Recognition
from agent.services.stt import Transcript
from agent.speculation import Speculation
from agent.tasks import SessionTasks
from agent.turn import TurnTaking
from agent.turn_state import TurnState


class PauseQuestions:
    """One session's."""

    def __init__(
        self,
        config: AgentConfig,
        services: AgentServices,
        tasks: SessionTasks,
        recognition: Recognition,
        caller: CallerVoice | None,
        dialogue: Dialogue,
        languages: Languages,
        turns: TurnTaking,
        speculation: Speculation,
        *,
        listens: Callable[[], bool],
        drain: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """`listens`: whether there is sense in answering the far end. `drain` is called after every answer."""
        self.last_partial: Transcript | None = None
        """Of the present turn."""
        self._config = config
        self._detector = services.turn_detector
        self._tasks = tasks
        self._recognition = recognition
        self._caller = caller
        self._dialogue = dialogue
        self._languages = languages
        self._turns = turns
        self._speculation = speculation
        self._listens = listens
        self._drain = drain
        self._clock = clock
        self._judgement: Judgement | None = None
        """Of the present pause."""
        self._asked: int | None = None
        """Of which pause the words were asked for last."""
        self._late: tuple[int, Callable[[Transcript | None], None]] | None = None
        """Of which pause, that is over, the words are awaited, and by whom."""

    def ask(self, pause_id: int) -> None:
        """About the pause that lasts."""
        self._asked = pause_id
        self._tasks.ask(self._ask_transcript(pause_id))
        if self._caller is not None:
            self._tasks.ask(self._ask_voice(self._caller))
        if self._detector is not None:
            self._tasks.ask(self._ask_detector(pause_id))

    def ask_words(self, burst_id: int) -> None:
        """What was said over us so far."""
        self._tasks.ask(self._ask_words(burst_id))

    def await_words(self, pause_id: int, on_words: Callable[[Transcript | None], None]) -> None:
        """Those of a pause that we have ended by taking the floor; None: they could not be had."""
        self._late = pause_id, on_words
        if self._asked != pause_id:
            self._recognition.ear.pause()
            self._asked = pause_id
            self._tasks.ask(self._ask_transcript(pause_id))

    def judge(self, silent_s: float) -> None:
        """Have the end-of-turn model judge the pause that begins."""
        ear = self._recognition.ear
        if self._detector is not None:
            self._judgement = Judgement()
            turn = self._config.turn
            heard = filled(ear.turn_audio(), ear.sample_rate_hz, silent_s * 1e3, turn.ask_after_ms)
            self._tasks.ask(self._judgement.make(self._detector, heard, ear.sample_rate_hz, turn.max_wait_ms))

    def receive_speech(self) -> None:
        """The pause is over."""
        self._judgement = None

    async def _ask_words(self, burst_id: int) -> None:
        try:
            transcript = await self._recognition.words()
        except ServiceError as error:
            self._dialogue.receive_failure(error)
            self._turns.receive_no_words(burst_id, self._clock())
        else:
            self._turns.receive_words(burst_id, transcript, self._dialogue.saying, self._clock())
        self._drain()

    async def _ask_transcript(self, pause_id: int) -> None:
        try:
            transcript = await self._recognition.transcript()
        except ServiceError as error:
            self._dialogue.receive_failure(error)
            self._tell_late(pause_id, self.last_partial)
            if self.last_partial is None:
                self._turns.receive_no_transcript(pause_id, self._clock())
            else:  # better than to ask the caller for it all again
                partial = replace(self.last_partial, is_final=True)
                self._turns.receive_transcript(pause_id, partial, self._clock())
        else:
            now = self._clock()
            self._tell_late(pause_id, transcript)
            self._languages.receive_transcript(transcript)
            self._turns.receive_transcript(pause_id, transcript, now)
            if self._turns.state is TurnState.PAUSED and self._listens():  # not decided yet: the wait is time to think
                self._speculation.receive_partial(transcript.text, True, now)
        self._drain()

    def _tell_late(self, pause_id: int, transcript: Transcript | None) -> None:
        if self._late is not None and self._late[0] == pause_id:
            (_, on_words), self._late = self._late, None
            on_words(transcript)

    async def _ask_voice(self, caller: CallerVoice) -> None:
        ear = self._recognition.ear
        hesitation = await caller.hear(ear.turn_audio(), ear.sample_rate_hz)
        self._turns.receive_hesitation(hesitation, self._clock())
        self._drain()

    async def _ask_detector(self, pause_id: int) -> None:
        """The waits decide when the model does not answer: its failure is nothing the caller needs to hear of."""
        if self._judgement is None:
            return
        try:
            probability = await self._judgement.probability()
        except ServiceError as error:
            self._dialogue.receive_failure(error)
            return
        self._turns.receive_probability(pause_id, probability, self._clock())
        self._drain()
