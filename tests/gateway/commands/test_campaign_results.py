# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of results, batch by batch."""

import csv
import json
from pathlib import Path

import pytest

from gateway.client import NotReachable, ParleyClient
from gateway.commands.campaign_results import ResultsFile, results_kind
from tests.simulators.campaign_gateway import KEY, CampaignGateway


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened)) if file.suffix == ".csv" else [json.loads(line) for line in opened]


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl"])
async def test_each_batch_goes_on_where_the_last_whole_one_ended(tmp_path: Path, name: str) -> None:
    simulator, file = CampaignGateway(), tmp_path / name
    kind = results_kind(file)
    assert kind is not None
    async with simulator.running() as address, ParleyClient(address, KEY) as parley:
        with ResultsFile(file, kind) as results:
            for done, new in ((0, 0), (2, 2), (2, 0), (3, 1)):
                simulator.done = done
                assert await results.catch_up(parley, "c1") == new
                assert rows_of(file) == simulator.rows()
            simulator.outcomes, simulator.done, simulator.breaks_after = ("talked",) * 5, 5, [20]
            with pytest.raises(NotReachable):
                await results.catch_up(parley, "c1")
            assert len(rows_of(file)) == results.rows == 3
            assert await results.catch_up(parley, "c1") == 2
    assert [row["sequence"] for row in rows_of(file)] == ["1", "2", "3", "4", "5"]


def test_a_file_to_which_nothing_came_is_not_left_behind(tmp_path: Path) -> None:
    with ResultsFile(tmp_path / "r.csv", "csv"):
        assert (tmp_path / "r.csv").exists()
    assert not (tmp_path / "r.csv").exists()


async def test_what_was_in_a_file_stays_until_there_is_something_in_its_place(tmp_path: Path) -> None:
    simulator, file = CampaignGateway(), tmp_path / "r.csv"
    file.write_text("yesterday's\n" * 100)
    simulator.done, simulator.breaks_after = 1, [20]
    async with simulator.running() as address, ParleyClient(address, KEY) as parley:
        for _ in range(2):
            with ResultsFile(file, "csv") as results:
                if simulator.breaks_after:
                    with pytest.raises(NotReachable):
                        await results.catch_up(parley, "c1")
                    assert file.read_text() == "yesterday's\n" * 100
                else:
                    await results.catch_up(parley, "c1")
    assert rows_of(file) == simulator.rows()


def test_the_name_says_the_kind() -> None:
    kinds = {name: results_kind(Path(name)) for name in ("a.csv", "a.CSV", "a.jsonl", "a.ndjson", "a.xlsx", "csv")}
    assert list(kinds.values()) == ["csv", "csv", "jsonl", "jsonl", None, None]
