# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech from Azure over HTTP, asked for in SSML.

Sources: learn.microsoft.com, "Text to speech REST API" (headers, output formats) and "Customize voice and sound with
SSML": a rate without a percent sign is a factor of the voice's own pace (50% would be half as fast again), pitch goes
from half to one and a half of the voice's own; its volume knows no decibels, so loudness is made of the samples.
"""

from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from agent.clients.azure_host import azure_host
from agent.clients.azure_locale import locale_of
from agent.clients.http_tts import HttpTts, OnCharacters, SpeechRequest
from agent.clients.settings import ServiceSettings
from agent.clients.urls import with_parameters
from agent.clients.wire_audio import G711_HZ, offered_rate
from agent.services.tts import Emotion, SpeechStyle
from agent.style_controls import Asked, Controls

_VOICE = "en-US-AvaMultilingualNeural"
_PATH = "/cognitiveservices/v1"
_RATES_HZ = (8_000, 16_000, 24_000)
_STYLES = "styles"
_STYLE_OF: Mapping[Emotion, str] = {
    "calm": "calm",
    "friendly": "friendly",
    "cheerful": "cheerful",
    "apologetic": "empathetic",
    "empathetic": "empathetic",
    "serious": "serious",
    "excited": "excited",
}
_OWN_STYLES: Mapping[str, frozenset[str]] = {
    "en-US-AriaNeural": frozenset({"friendly", "cheerful", "empathetic", "excited"}),
    **dict.fromkeys(
        (f"en-US-{name}Neural" for name in ("Davis", "Guy", "Jane", "Jason", "Jenny", "Nancy", "Sara", "Tony")),
        frozenset({"friendly", "cheerful", "excited"}),
    ),
}
"""Of voices that are known to have some: from "Voice styles and roles". A style that a voice has not is left out by the
service without a word; so it is asked for only where it is known."""
_NOT_IN_XML = dict.fromkeys([*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)])
"""Characters that XML 1.0 (section 2.2) has no way to write."""


class AzureTts(HttpTts):
    """A `TextToSpeech`. Reads `region` or `url`, `api_key`, `voice`, `language`, and `extra.styles`: those of a voice
    that is not known here."""

    def __init__(self, settings: ServiceSettings, *, on_usage: OnCharacters | None = None) -> None:
        """Raises `ServiceRejected`: neither region nor URL."""
        super().__init__(settings, AzureVoices(settings), on_usage=on_usage)


class AzureVoices:
    """What Azure is asked for (`HttpSpeech`)."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._base = azure_host(settings, "tts")

    @property
    def warm_url(self) -> str:
        """Not the list of voices, which is long."""
        return with_parameters(self._base, _PATH, {})

    def headers(self) -> Mapping[str, str]:
        """The service insists on a user agent."""
        key = {"Ocp-Apim-Subscription-Key": self._settings.api_key} if self._settings.api_key else {}
        return {"User-Agent": "parley", **key, **self._settings.headers}

    def request(self, text: str, voice: str, style: SpeechStyle, sample_rate_hz: int | None) -> SpeechRequest:
        voice = voice or _VOICE
        asked = self._controls(voice).ask(style)
        rate_hz = offered_rate(sample_rate_hz, _RATES_HZ)
        is_mulaw = rate_hz == G711_HZ
        wire = f"raw-{rate_hz // 1000}khz-{'8bit-mono-mulaw' if is_mulaw else '16bit-mono-pcm'}"
        return SpeechRequest(
            self.warm_url,
            document(text, asked, voice=voice, locale=self._locale(voice)).encode(),
            "mulaw" if is_mulaw else "pcm_s16le",
            rate_hz,
            {"Content-Type": "application/ssml+xml", "X-Microsoft-OutputFormat": wire},
            asked.done,
        )

    def _controls(self, voice: str) -> Controls:
        given = self._settings.extra.get(_STYLES)
        styles = frozenset(map(str, given)) if isinstance(given, list | tuple) else _OWN_STYLES.get(voice, frozenset())
        emotions = {emotion: style for emotion, style in _STYLE_OF.items() if style in styles}
        return Controls(rates=(0.5, 2.0), pitches_semitones=(-12.0, 7.0), emotions=emotions)

    def _locale(self, voice: str) -> str:
        """What the table says, or what the voice's name begins with."""
        own = "-".join(voice.split("-")[:2]) if voice.count("-") >= 2 else ""
        return locale_of(self._settings.language) or own or "en-US"


def document(text: str, asked: Asked, *, voice: str, locale: str) -> str:
    """The clause in Azure's SSML."""
    inner = escape(text.translate(_NOT_IN_XML))
    prosody = [
        *([] if asked.rate is None else [f'rate="{asked.rate:g}"']),
        *([] if asked.pitch_semitones is None else [f'pitch="{asked.pitch_semitones:+g}st"']),
    ]
    if prosody:
        inner = f"<prosody {' '.join(prosody)}>{inner}</prosody>"
    if asked.emotion is not None:
        inner = f"<mstts:express-as style={quoteattr(asked.emotion)}>{inner}</mstts:express-as>"
    names = 'xmlns="http://www.w3.org/2001/10/synthesis" xmlns:mstts="http://www.w3.org/2001/mstts"'
    spoken = f"<voice name={quoteattr(voice)}>{inner}</voice>"
    return f'<speak version="1.0" {names} xml:lang={quoteattr(locale)}>{spoken}</speak>'
