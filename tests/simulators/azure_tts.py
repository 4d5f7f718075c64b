# SPDX-License-Identifier: GPL-3.0-or-later
"""Azure's text to speech, as its REST reference has it: SSML in, samples without a header out.

async with AzureTtsServer(Speech(...)) as server: ... server.url ...
"""

import re
from http import HTTPStatus
from xml.etree import ElementTree

from tests.simulators.http_service import HttpReply, HttpRequest
from tests.simulators.http_speech import HttpSpeechService

_SSML = "{http://www.w3.org/2001/10/synthesis}"
_FORMAT = re.compile(r"raw-(8|16|24|48)khz-(16bit-mono-pcm|8bit-mono-mulaw)")
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


class AzureTtsServer(HttpSpeechService):
    """`https://REGION.tts.speech.microsoft.com`, of one key."""

    def _is_for_speech(self, request: HttpRequest) -> bool:
        return request.path == "/cognitiveservices/v1"

    def _is_known(self, request: HttpRequest) -> bool:
        return request.headers.get("ocp-apim-subscription-key") == self.key

    async def _speak(self, request: HttpRequest, reply: HttpReply) -> None:
        headers = request.headers
        wire = _FORMAT.fullmatch(headers.get("x-microsoft-outputformat", ""))
        if headers.get("content-type") != "application/ssml+xml":
            reply.plain(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "")
            return
        try:
            root = ElementTree.fromstring(request.body)
        except ElementTree.ParseError:
            reply.plain(HTTPStatus.BAD_REQUEST, "")
            return
        voice = root.find(f"{_SSML}voice")
        is_sound = root.tag == f"{_SSML}speak" and root.get("version") == "1.0" and root.get(_LANGUAGE)
        if not is_sound or voice is None or not voice.get("name") or wire is None or not headers.get("user-agent"):
            reply.plain(HTTPStatus.BAD_REQUEST, "")
            return
        text, is_mulaw = "".join(voice.itertext()), "mulaw" in wire[2]
        await self.stream(reply, text, int(wire[1]) * 1000, is_mulaw=is_mulaw, content_type="audio/basic")
