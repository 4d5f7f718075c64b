# SPDX-License-Identifier: GPL-3.0-or-later
from tests.agent.local.conftest import engines, model_folder

__all__ = ["engines", "model_folder"]
