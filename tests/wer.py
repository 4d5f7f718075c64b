# SPDX-License-Identifier: GPL-3.0-or-later
"""How wrong a transcript is: real prompts with known words, and the word error rate between texts.

The prompts are those of Debian's `asterisk-core-sounds-en-wav` (8 kHz, one speaker); their words come from the text
file of the same package. Used by the engine's own tests and by those that play the prompts through RTP.
"""

import gzip
import re
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.number_words import cardinal

SOUNDS_FOLDER = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
_WORDS_FILE = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
PROMPTS_PACKAGE = "asterisk-core-sounds-en-wav"

_SHORTEST_S, _LONGEST_S = 0.8, 9.0
_FEWEST_WORDS = 3

# Where the file's words are not what is spoken: a slip, a fragment of a longer sentence, a homophone.
_CORRECTIONS = {
    "pbx-invalidpark": "I am sorry, but there is no call parked on that extension. Please try again.",
    "unidentified-no-callback": "unidentified or withheld and therefore cannot be called back",
    "vm-onefor": "press one 4",
}


def load_prompts() -> dict[str, tuple[Path, str]]:
    """Sentences of at least three words and 0.8 to 9 s, by name: (WAV file, words). Empty without the package."""
    if not _WORDS_FILE.exists():
        return {}
    prompts: dict[str, tuple[Path, str]] = {}
    with gzip.open(_WORDS_FILE, "rt", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, separator, words = line.strip().partition(": ")
            path = SOUNDS_FOLDER / f"{name}.wav"
            if not separator or name.startswith(";") or re.search(r"[\[(<]", words) or not path.exists():
                continue
            text = _CORRECTIONS.get(name, words)
            if _SHORTEST_S <= _duration_s(path) <= _LONGEST_S and len(text.split()) >= _FEWEST_WORDS:
                prompts[name] = (path, text)
    return prompts


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Substituted, missing and added words of all the hypotheses, by the number of words in the references.

    Spelling does not count: case, punctuation, "4" or "four", "can't" or "can not", "voicemail" or "voice mail".
    (On these prompts the result is that with whisper-normalizer, to the hundredth of a point.)
    """
    errors = total = 0
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        wanted, heard = _words(reference), _words(hypothesis)
        wanted, heard = _join_compounds(wanted, heard), _join_compounds(heard, wanted)
        errors += _distance(wanted, heard)
        total += len(wanted)
    return errors / total


def _duration_s(path: Path) -> float:
    with wave.open(str(path)) as recording:
        seconds: float = recording.getnframes() / recording.getframerate()
    return seconds


# Both texts go through this, so it need not be right, only the same for what sounds the same.
_SPELLINGS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\*", " star "),
    (r"#", " pound "),
    (r"\bcan't\b", "can not"),
    (r"\bwon't\b", "will not"),
    (r"n't\b", " not"),
    (r"'s\b", " is"),
    (r"'re\b", " are"),
    (r"'ve\b", " have"),
    (r"'ll\b", " will"),
    (r"'m\b", " am"),
    (r"(\d),(?=\d{3})", r"\1"),
    (r"\d+", lambda match: f" {cardinal(int(match[0]))} "),
    (r"[^a-z]+", " "),
)


def _words(text: str) -> list[str]:
    text = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    for pattern, spoken in _SPELLINGS:
        text = re.sub(pattern, spoken, text)
    return text.split()


def _join_compounds(words: list[str], other: list[str]) -> list[str]:
    """Up to five neighbours become one word where the other text has them as one: "voice mail", "M I S D N"."""
    known, joined = set(other) - set(words), list[str]()
    while words:
        length = next((n for n in range(min(5, len(words)), 1, -1) if "".join(words[:n]) in known), 1)
        joined.append("".join(words[:length]))
        words = words[length:]
    return joined


def _distance(wanted: list[str], heard: list[str]) -> int:
    """Levenshtein's distance, in words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(wanted, start=1):
        diagonal, row[0] = row[0], i
        for j, candidate in enumerate(heard, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != candidate))
    return row[-1]
