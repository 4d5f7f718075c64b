# SPDX-License-Identifier: GPL-3.0-or-later
"""Vectors of what callers say, computed in the pool and remembered: the words of a partial transcript, of the final one
and of a speculative answer are embedded once, whoever asks (knowledge, intents, cached answers)."""

from collections import OrderedDict

import numpy as np

from agent.local.inference import InferencePool, Priority
from agent.local.minilm import SentenceEmbedder, Vectors

_REMEMBERED = 2_000
"""1.5 kB each; drops the one that was not asked for longest."""


def normalized(text: str) -> str:
    """As it is embedded: what differs only in case, blanks or the punctuation at its end is the same."""
    return " ".join(text.lower().split()).rstrip(" .,;:!?-\N{HORIZONTAL ELLIPSIS}")


class QueryVectors:
    """One for all calls; belongs to the event loop."""

    def __init__(self, embedder: SentenceEmbedder, pool: InferencePool) -> None:
        self._embedder = embedder
        self._pool = pool
        self._known: OrderedDict[str, Vectors] = OrderedDict()
        self.computed = 0
        """Texts that were not remembered."""

    async def of(self, *texts: str, priority: Priority = Priority.ANSWER) -> Vectors:
        """Unit vectors, shape (texts, 384). Raises `ServiceUnavailable`."""
        keys = [normalized(text) for text in texts]
        missing = [key for key in dict.fromkeys(keys) if key not in self._known]
        found = {key: self._known[key] for key in keys if key in self._known}
        if missing:
            self.computed += len(missing)
            vectors = await self._pool.run(priority, self._embedder.embed, missing)
            found.update(zip(missing, vectors, strict=True))
        for key, vector in found.items():
            self._known[key] = vector
            self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return np.stack([found[key] for key in keys])

    def forget(self) -> None:
        """Compute everything anew, for who measures that."""
        self._known.clear()
