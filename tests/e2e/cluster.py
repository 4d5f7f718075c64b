# SPDX-License-Identifier: GPL-3.0-or-later
"""Real gateways as nodes of one cluster: they share a real Redis and a data folder."""

from contextlib import ExitStack
from pathlib import Path

from tests.e2e.gateway_process import GatewayProcess
from tests.redis_server import RedisServer


class Cluster:
    """Nodes begin one after the other, and end with it."""

    def __init__(self, folder: Path, redis: RedisServer) -> None:
        self.folder = folder
        self.redis = redis
        self._stack = ExitStack()
        (folder / "shared").mkdir()

    def node(
        self, name: str, settings: str = "", *, drain_s: float = 0, max_calls: int = 400, region: str = ""
    ) -> GatewayProcess:
        folder = self.folder / name
        folder.mkdir()
        (folder / "data").symlink_to(self.folder / "shared")
        cluster = (
            f'[cluster]\nredis_url = "{self.redis.url}"\nnode_id = "{name}"\ndrain_s = {drain_s}\nregion = "{region}"\n'
        )
        node = GatewayProcess(folder, cluster + settings, record=False, max_calls=max_calls)
        return self._stack.enter_context(node)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
