# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to onnxruntime: models on the CPU, in the calling thread, without an arena, with our errors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from agent.errors import ModelError, ServiceUnavailable


class OnnxModel:
    """A model that computes in whichever thread calls `run`; calls may be made side by side."""

    def __init__(self, path: Path) -> None:
        """Raises `ModelError`."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # it never gives back what the longest sentence once needed
        options.enable_mem_pattern = False  # no two sentences have one shape: planning saves nothing, and costs 20 MB
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no class in common
            raise ModelError(f"model {path} cannot be loaded: {error}") from error
        self.name = path.parent.name

    def run(self, outputs: None, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """All outputs. The signature is that of onnxruntime's own session, because Piper calls it."""
        try:
            results: list[NDArray[np.float32]] = self._session.run(outputs, inputs)
        except Exception as error:  # as above
            raise ServiceUnavailable(self.name, f"onnxruntime: {type(error).__name__}") from error
        return results
