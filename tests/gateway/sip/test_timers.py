# SPDX-License-Identifier: GPL-3.0-or-later
from gateway.sip.timers import Timers


def test_work_is_done_once_when_it_is_due_and_in_its_order() -> None:
    done: list[str] = []
    timers = Timers()
    timers.add(2.0, lambda: done.append("second"))
    timers.add(1.0, lambda: done.append("first"))
    timers.run(0.9)
    assert done == []
    timers.run(2.0)
    timers.run(3.0)
    assert done == ["first", "second"]


def test_work_may_put_itself_off() -> None:
    timers = Timers()
    runs: list[float] = []

    def work() -> None:
        runs.append(1.0)
        if len(runs) < 3:
            timers.add(5.0, work)

    timers.add(1.0, work)
    timers.run(4.0)
    assert len(runs) == 1
    timers.run(5.0)
    assert len(runs) == 3
