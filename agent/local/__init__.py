# SPDX-License-Identifier: GPL-3.0-or-later
"""The offline engines: everything the agent needs, on this machine, without a service or a key.

caller audio > silero (speech?) > turn_audio > whisper > text > receptionist (cues, knowledge, minilm) > piper > audio
                                > smart_turn (finished?)

catalogue, models    the model files: which, from where, fetched and checked (python -m agent.local.models)
inference            the bounded pool of threads in which all of them compute, most urgent first
logmel, onnx         what Whisper and smart-turn have in common; the door to onnxruntime
engines              all of them loaded together: begin here
"""

__all__: list[str] = []
