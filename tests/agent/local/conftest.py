# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines, loaded once for all tests here; the models are fetched if they are not there yet."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.local.engines import OfflineEngines
from agent.local.models import default_model_folder, ensure_models


@pytest.fixture(scope="session")
def model_folder() -> Path:
    folder = default_model_folder(os.environ)
    ensure_models(folder, print)
    return folder


@pytest.fixture(scope="session")
def engines(model_folder: Path) -> Iterator[OfflineEngines]:
    loaded = asyncio.run(OfflineEngines.load(model_folder))
    yield loaded
    asyncio.run(loaded.aclose())
