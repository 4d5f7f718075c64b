# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley campaign` over a real socket: what it asks for, prints and writes, and its exit codes."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import gateway.commands.campaign_run
from gateway import cli
from gateway.api import bind_http, serving
from gateway.api.problems import FieldProblem, problem_response
from tests.gateway.test_api_calls import KEY as API_KEY
from tests.gateway.test_api_calls import running_api
from tests.simulators.campaign_gateway import KEY, CampaignGateway, list_report

LIST = "number,name\n+12025550101,Ann\n+12025550102,Bob\n+12025550103,Cid\n"
Command = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
async def simulator() -> CampaignGateway:
    return CampaignGateway()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the operator is: with a list and a policy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARLEY_API_KEY", KEY)
    (tmp_path / "list.csv").write_text(LIST)
    (tmp_path / "policy.toml").write_text('cps = 2.0\nzone = "America/New_York"\n')
    return tmp_path


def parley_alone(*arguments: str) -> int:
    """`parley ARGUMENTS` where no gateway is."""
    try:
        return cli.main([*arguments, "--url", "http://127.0.0.1:9"])
    except SystemExit as leaving:
        return int(str(leaving.code))


@pytest.fixture
async def parley(
    simulator: CampaignGateway, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Command]:
    """Runs `parley ARGUMENTS` on a thread."""
    monkeypatch.setattr(gateway.commands.campaign_run, "_POLL_S", 0.01)

    async with simulator.running() as address:

        async def run(*arguments: str) -> tuple[int, str, str]:
            def call() -> int:
                try:
                    return cli.main([*arguments, "--url", address])
                except SystemExit as leaving:
                    return int(str(leaving.code))

            code = await asyncio.to_thread(call)
            captured = capsys.readouterr()
            return code, captured.out, captured.err

        yield run


RUN = ("campaign", "run", "list.csv", "--campaign", "policy.toml")


async def test_a_list_is_uploaded_called_and_its_results_written(
    simulator: CampaignGateway, parley: Command, tmp_path: Path
) -> None:
    code, out, _ = await parley(*RUN, "--out", "results.csv")
    assert code == 0
    assert simulator.requests == ["POST /campaigns", "POST /campaigns/c1/contacts", "POST /campaigns/c1/start"]
    assert (simulator.name, simulator.policy) == ("list", {"cps": 2.0, "zone": "America/New_York"})
    assert (simulator.content_type, simulator.uploaded.decode()) == ("text/csv", LIST)
    assert out.splitlines()[0] == "3 rows: 3 to call"
    assert out.splitlines()[-1].startswith("done: 3/3 done")
    assert "1 busy, 1 no answer, 1 talked" in out
    with (tmp_path / "results.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == simulator.rows()
    assert (tmp_path / "results.csv").stat().st_mode & 0o777 == 0o600


async def test_results_as_json_lines_and_a_list_of_them(
    simulator: CampaignGateway, parley: Command, tmp_path: Path
) -> None:
    (tmp_path / "list.jsonl").write_text('{"number": "+12025550101"}\n')
    code, _, _ = await parley("campaign", "run", "list.jsonl", "--campaign", "policy.toml", "--out", "r.jsonl")
    assert (code, simulator.content_type) == (0, "application/x-ndjson")
    assert [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()] == simulator.rows()


@pytest.mark.parametrize("name", ["results.csv", "results.jsonl"])
async def test_an_answer_that_breaks_off_leaves_whole_rows_once_each(
    simulator: CampaignGateway, parley: Command, tmp_path: Path, name: str
) -> None:
    simulator.outcomes = ("talked",) * 8
    simulator.breaks_after = [0, 40, 70, 110]
    code, _, err = await parley(*RUN, "--out", name)
    assert (code, simulator.breaks_after) == (0, [])
    assert "waiting for it" in err
    with (tmp_path / name).open(newline="") as file:
        rows = list(csv.DictReader(file)) if name.endswith(".csv") else [json.loads(line) for line in file]
    assert rows == simulator.rows()


async def test_the_list_is_reported_by_line_before_anybody_is_called(
    simulator: CampaignGateway, parley: Command
) -> None:
    problems = [
        {"line": 3, "column": "number", "problem": "is no number that can be dialled"},
        {"line": 5, "column": "", "problem": "is there already\x1b[2J"},
    ]
    simulator.report = list_report(5, 3, duplicates=1, invalid=1, problems=problems)
    _, out, _ = await parley(*RUN)
    assert out.splitlines()[:3] == [
        "  line 3, number: is no number that can be dialled",
        "  line 5: is there already?[2J",  # a list does not command the operator's terminal
        "5 rows: 3 to call; left out: 1 invalid, 1 there already",
    ]


async def test_a_check_calls_nobody_and_leaves_nothing_behind(
    simulator: CampaignGateway, parley: Command, tmp_path: Path
) -> None:
    code, out, _ = await parley(*RUN, "--check", "--out", "results.csv")
    assert (code, out.splitlines()[0]) == (0, "3 rows: 3 to call")
    assert simulator.requests == ["POST /campaigns", "POST /campaigns/c1/contacts", "DELETE /campaigns/c1"]
    assert not (tmp_path / "results.csv").exists()


async def test_a_list_with_nobody_to_call_is_exit_code_2_and_does_not_start(
    simulator: CampaignGateway, parley: Command
) -> None:
    simulator.report = list_report(0, 0)
    code, _, err = await parley(*RUN)
    assert (code, simulator.requests[-1]) == (2, "DELETE /campaigns/c1")
    assert "nobody to call" in err


async def test_a_list_that_the_gateway_cannot_read_is_exit_code_2(
    simulator: CampaignGateway, parley: Command, tmp_path: Path
) -> None:
    simulator.refuse["POST /campaigns/c1/contacts"] = problem_response(422, "line 7, byte 3: is not UTF-8")
    code, _, err = await parley(*RUN, "--out", "results.csv")
    assert (code, err) == (2, "parley: list.csv: line 7, byte 3: is not UTF-8\n")
    assert simulator.requests[-1] == "DELETE /campaigns/c1"
    assert not (tmp_path / "results.csv").exists()  # or the next try would be refused


def test_every_fault_of_the_policy_is_named_with_its_place_and_no_gateway_is_needed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "policy.toml").write_text('cps = 0\nspeed = 9\nzone = "Europe/Berlln"\n')
    assert parley_alone(*RUN) == 2
    assert [line.split(": ")[1:3] for line in capsys.readouterr().err.splitlines()] == [
        ["policy.toml", "cps"],
        ["policy.toml", "zone"],
        ["policy.toml", "speed"],
    ]


async def test_what_the_gateway_finds_in_the_policy_is_named_in_its_file(
    simulator: CampaignGateway, parley: Command
) -> None:
    fields = [FieldProblem(field="body.policy.agent", detail="there is no such agent")]
    simulator.refuse["POST /campaigns"] = problem_response(422, errors=fields)
    code, _, err = await parley(*RUN)
    assert (code, err) == (2, "parley: policy.toml: agent: there is no such agent\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing.csv", "--campaign", "policy.toml"), "nothing.csv: there is no such file"),
        (("list.xlsx", "--campaign", "policy.toml"), "list.xlsx: a list is a .csv or a .jsonl file"),
        (("list.csv", "--campaign", "nothing.toml"), "nothing.toml: No such file or directory"),
        (("list.csv", "--campaign", "latin.toml"), "latin.toml: byte 10 is not UTF-8"),
        (("list.csv", "--campaign", "broken.toml"), "broken.toml: is no TOML"),
        (("list.csv", "--campaign", "policy.toml", "--out", "list.csv"), "list.csv is there already"),
        (("list.csv", "--campaign", "policy.toml", "--out", "r.xlsx"), "r.xlsx: results are a .csv or a .jsonl file"),
        (("list.csv", "--campaign", "policy.toml", "--out", "no/r.csv"), "no/r.csv: No such file or directory"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    (folder / "latin.toml").write_bytes(b'agent = "G\xfc"')
    (folder / "broken.toml").write_text("agent = \n")
    assert parley_alone("campaign", "run", *arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"parley: {said}")
    assert len(err.splitlines()) == 1
    assert (folder / "list.csv").read_text() == LIST


async def test_a_gateway_that_is_away_for_a_while_is_waited_for(simulator: CampaignGateway, parley: Command) -> None:
    simulator.away_for = 3
    code, out, err = await parley(*RUN)
    assert code == 0
    assert "waiting for it" in err
    assert "the gateway is back" in err
    assert out.splitlines()[-1].startswith("done: 3/3 done")


def test_no_gateway_at_all_is_exit_code_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (RUN, ("campaign", "list"), ("do-not-call", "list")):
        assert parley_alone(*arguments) == 1
        assert capsys.readouterr().err.startswith("parley: no gateway answers at http://127.0.0.1:9 ")


async def test_a_campaign_that_somebody_cancels_is_exit_code_1(simulator: CampaignGateway, parley: Command) -> None:
    simulator.is_stuck = True

    async def cancel() -> None:
        await simulator.started.wait()
        simulator.state = "cancelled"

    (code, out, _), _ = await asyncio.gather(parley(*RUN), cancel())
    assert code == 1
    assert out.splitlines()[-1].startswith("cancelled: 0/3 done")


async def test_a_start_that_is_refused_says_why_and_leaves_no_draft(
    simulator: CampaignGateway, parley: Command
) -> None:
    simulator.refuse["POST /campaigns/c1/start"] = problem_response(409, "there is no trunk for outgoing calls")
    code, _, err = await parley(*RUN)
    assert (code, err) == (1, "parley: the gateway refused (409): there is no trunk for outgoing calls\n")
    assert simulator.requests[-1] == "DELETE /campaigns/c1"


async def test_json_is_an_object_per_line(simulator: CampaignGateway, parley: Command) -> None:
    code, out, _ = await parley(*RUN, "--json", "--name", "winter")
    told = [json.loads(line) for line in out.splitlines()]
    assert (code, simulator.name) == (0, "winter")
    assert (told[0]["kind"], told[0]["report"]["accepted"]) == ("list", 3)
    states = [one["campaign"]["state"] for one in told if one["kind"] == "campaign"]
    assert (states[0], states[-1]) == ("running", "done")
    assert told[-1]["kind"] == "notice"


async def test_the_real_api_understands_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list.csv").write_text("phone,name\n202 555 0123,Ann\n12,Bob\n,\n312 555 0142,=Cid\n202 555 0123,Dee\n")
    policy = 'region = "US"\nnumber_column = "phone"\ncps = 100\nwindows = [{ from = "00:00", to = "24:00" }]\n'
    (tmp_path / "policy.toml").write_text(policy)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARLEY_API_KEY", API_KEY)
    monkeypatch.setattr(gateway.commands.campaign_run, "_POLL_S", 0.05)
    listener = bind_http("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with running_api(tmp_path / "data") as api, serving(api.app, listener):
        assert await asyncio.to_thread(cli.main, [*RUN, "--out", "results.csv", "--url", url]) == 0
        out, _ = capsys.readouterr()
        assert await asyncio.to_thread(cli.main, ["campaign", "list", "--url", url]) == 0
        listed, _ = capsys.readouterr()
        with pytest.raises(SystemExit, match="1"):
            await asyncio.to_thread(cli.main, ["campaign", "pause", listed.split()[0], "--url", url])
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["  line 3, phone", "  line 6, phone"]
    assert lines[2] == "4 rows: 2 to call; left out: 1 invalid, 1 there already"
    assert lines[-1].startswith("done: 2/2 done; 0 dialing, 0 talking; 2 talked")
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = {row["number"]: row for row in csv.DictReader(file)}
    assert {number: row["outcome"] for number, row in rows.items()} == {
        "+12025550123": "talked",
        "+13125550142": "talked",
    }
    assert rows["+13125550142"]["list.name"] == "'=Cid"
    assert capsys.readouterr().err == "parley: the gateway refused (409): the campaign is done\n"


# The other commands


@pytest.mark.parametrize(
    ("verb", "state"), [("pause", "paused"), ("drain", "draining"), ("cancel", "cancelled"), ("resume", "running")]
)
async def test_a_campaign_is_told_what_to_do(
    simulator: CampaignGateway, parley: Command, verb: str, state: str
) -> None:
    code, out, _ = await parley("campaign", verb, "c1")
    assert (code, simulator.state, simulator.requests) == (0, state, [f"POST /campaigns/c1/{verb}"])
    assert out.startswith(f"c1  {state}")


async def test_campaigns_are_listed_and_shown(simulator: CampaignGateway, parley: Command) -> None:
    simulator.name = "winter"
    simulator.state = "paused"
    for arguments in (("list",), ("show", "c1")):
        code, out, _ = await parley("campaign", *arguments)
        assert (code, out) == (0, "c1  paused     winter: 0/3 done; 0 dialing, 0 talking; answered 50%\n")
    _, out, _ = await parley("campaign", "list", "--json")
    assert json.loads(out)["campaigns"][0]["name"] == "winter"
    _, out, _ = await parley("campaign", "show", "c1", "--json")
    assert json.loads(out)["progress"]["contacts"] == 3


async def test_after_a_pause_it_goes_on_and_all_results_are_written_again(
    simulator: CampaignGateway, parley: Command, tmp_path: Path
) -> None:
    simulator.state, simulator.done = "paused", 2
    (tmp_path / "results.csv").write_text("sequence,line\n1,2\n")
    code, out, _ = await parley("campaign", "resume", "c1", "--follow", "--out", "results.csv")
    assert (code, simulator.requests) == (0, ["POST /campaigns/c1/resume"])
    assert out.splitlines()[-1].startswith("done: 3/3 done")
    with (tmp_path / "results.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == simulator.rows()


async def test_report_and_results_are_written(simulator: CampaignGateway, parley: Command, tmp_path: Path) -> None:
    simulator.done = 3
    assert (await parley("campaign", "report", "c1"))[:2] == (0, "c1.html\n")
    assert (tmp_path / "c1.html").read_text() == "<!doctype html>"
    assert (await parley("campaign", "results", "c1", "--out", "r.csv"))[:2] == (0, "r.csv: 3 rows\n")
    with (tmp_path / "r.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == simulator.rows()


async def test_numbers_are_put_on_the_do_not_call_list_and_taken_off(
    simulator: CampaignGateway, parley: Command
) -> None:
    assert (await parley("do-not-call", "add", "+12025550101"))[0] == 0
    assert (await parley("do-not-call", "add", "sip:ann@example.com", "--campaign", "c1"))[0] == 0
    code, out, _ = await parley("do-not-call", "list")
    assert (code, out) == (0, "+12025550101  since 2026-11-23\nsip:ann@example.com  since 2026-11-23  c1\n")
    assert (await parley("do-not-call", "remove", "sip:ann@example.com"))[0] == 0
    _, out, _ = await parley("do-not-call", "list", "--json")
    assert json.loads(out)["number"] == "+12025550101"


async def test_a_wrong_key_is_said(
    simulator: CampaignGateway, parley: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_API_KEY", "another")
    code, _, err = await parley("campaign", "pause", "c1")
    assert (code, err) == (1, "parley: the gateway refused (401): no key\n")
