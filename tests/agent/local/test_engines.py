# SPDX-License-Identifier: GPL-3.0-or-later
import threading
from pathlib import Path

import pytest

from agent.errors import KnowledgeError, ModelError
from agent.local.engines import OfflineEngines, resident_mib
from agent.local.receptionist import Receptionist
from agent.local.silero import SileroVad


def inference_threads() -> int:
    return sum(thread.name.startswith("inference-") for thread in threading.enumerate())


async def test_loading_says_how_long_it_took_and_what_it_weighs(engines: OfflineEngines) -> None:
    assert 0 < engines.loaded_in_s < 60
    assert 100 < engines.rss_mib <= resident_mib() + 50
    assert engines.pool.idle


async def test_a_folder_without_models_is_refused_and_leaves_no_thread_behind(tmp_path: Path) -> None:
    threads = inference_threads()
    with pytest.raises(ModelError, match=r"whisper/model\.bin is missing: run python -m agent\.local\.models"):
        await OfflineEngines.load(tmp_path)
    assert inference_threads() == threads


@pytest.fixture
def broken_folder(model_folder: Path, tmp_path: Path) -> Path:
    """All the models but one."""
    for file in model_folder.glob("*/*"):
        link = tmp_path / file.relative_to(model_folder)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(file)
    (tmp_path / "silero/model.onnx").unlink()
    (tmp_path / "silero/model.onnx").write_bytes(b"of your own, but no model")
    return tmp_path


async def test_a_model_that_cannot_be_loaded_is_named_and_leaves_no_thread_behind(broken_folder: Path) -> None:
    threads = inference_threads()
    with pytest.raises(ModelError, match=r"silero/model\.onnx cannot be loaded"):
        await OfflineEngines.load(broken_folder, workers=1)
    assert inference_threads() == threads


async def test_a_receptionist_knows_the_folder_it_was_given(engines: OfflineEngines, tmp_path: Path) -> None:
    assert isinstance(await engines.receptionist(), Receptionist)
    with pytest.raises(KnowledgeError, match="has no document"):
        await engines.receptionist(tmp_path)


def test_every_call_has_its_own_voice_detector(engines: OfflineEngines) -> None:
    first, second = engines.new_vad(8000), engines.new_vad(8000)
    assert isinstance(first, SileroVad)
    assert first is not second
