# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosted speech and language services over their real wire protocols, one vendor's per file.

    Conversation > openai_chat (messages, chunks) > HTTP, sse > ReplyEvent
    clause > hosted_tts (speech_stock, a vendor's TtsDialect) > link > WebSocket, or http_tts > HTTP > SpeechChunk
    whatever goes wrong on the way > faults > ServiceError, retryable or not

A client is one for all calls: it keeps connections warm and holds no state of a conversation.
"""
