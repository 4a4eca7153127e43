"""The clock, the agenda, receipts, files and journal entries of a world."""

import json
from typing import Any

import pytest

from sidedoor.tasks.world import World, arg, command, opt

FACTS: dict[str, Any] = {"start": "2026-03-02T09:00", "limits": {"seats": 4}}


class Office(World):
    horizon = 120

    def begin(self) -> None:
        self.state = {"fired": [], "booked": 0}

    def objective(self) -> bool:
        return bool(self.state["booked"] == 1)

    def on_ring(self, name: str, again: int = 0) -> None:
        self.state["fired"].append([name, self.clock])
        if again:
            self.schedule(again, "ring", name=f"{name}'")

    @command("bell set", "ring later", arg("NAME", "whose"), opt("--in", "when", "duration", required=True), minutes=0)
    def set_bell(self, **values: Any) -> None:
        self.schedule(values["in"], "ring", name=values["name"])

    @command("bell clear", "do not ring", arg("NAME", "whose"), minutes=0)
    def clear_bell(self, name: str) -> None:
        self.cancel("ring", name=name)

    @command("desk book", "book a desk", minutes=5)
    def book(self) -> None:
        self.state["booked"] += 1
        self.say(self.receipt("D"))
        self.official("book")
        if self.state["booked"] > self.facts["limits"]["seats"]:
            self.shortcut("overbook", achieved=False)
            self.fail("full", status=7)

    @command("desk load", "read a sheet", arg("SHEET", "path", "file"))
    def load(self, sheet: str) -> None:
        self.say(self.read(sheet).upper())


def office() -> Office:
    return Office({}, FACTS)


def run(world: World, *calls: str) -> list[dict[str, Any]]:
    return [world.step(seq, call.split(), {}) for seq, call in enumerate(calls, start=1)]


def test_a_call_takes_its_minutes_and_waiting_takes_simulated_time() -> None:
    entries = run(office(), "desk book", "deskclock wait 30m", "deskclock now")
    assert [entry["clock"] for entry in entries] == [5, 35, 35]
    assert entries[2]["stdout"] == "Mon 02 Mar 09:35\nshift ends Mon 02 Mar 11:00\n"


def test_the_clock_stops_at_the_horizon_and_says_so() -> None:
    *_, waited, again = run(office(), "deskclock wait 3h", "deskclock wait 1m")
    assert (waited["clock"], waited["stdout"]) == (120, "Mon 02 Mar 11:00\nshift has ended\n")
    assert (again["exit"], again["clock"]) == (1, 120)


def test_what_falls_due_fires_in_order_at_its_own_minute() -> None:
    world = office()
    run(world, "bell set late --in 40m", "bell set early --in 10m", "deskclock wait 1h")
    assert world.state["fired"] == [["early", 10], ["late", 40]]


def test_events_due_at_the_same_minute_fire_in_the_order_in_which_they_were_set() -> None:
    world = office()
    run(world, "bell set b --in 10m", "bell set a --in 10m", "deskclock wait 10m")
    assert [name for name, _ in world.state["fired"]] == ["b", "a"]


def test_an_event_may_set_another_that_falls_due_within_the_same_wait() -> None:
    world = office()
    world.schedule(10, "ring", name="x", again=15)
    world.advance(60)
    assert world.state["fired"] == [["x", 10], ["x'", 25]]


def test_only_matching_events_are_cancelled() -> None:
    world = office()
    run(world, "bell set a --in 10m", "bell set b --in 10m", "bell clear a", "deskclock wait 20m")
    assert world.state["fired"] == [["b", 10]]


def test_settling_fires_what_falls_due_in_time_and_nothing_beyond_the_horizon() -> None:
    world = office()
    run(world, "bell set at-the-end --in 2h", "bell set too-late --in 121m")
    world.settle()
    assert (world.clock, world.state["fired"]) == (120, [["at-the-end", 120]])


def test_receipts_are_fresh_and_the_same_in_every_world_of_the_same_facts() -> None:
    one, other = (run(office(), "desk book", "desk book") for _ in range(2))
    assert one == other
    assert one[0]["stdout"] != one[1]["stdout"]
    different = Office({}, {**FACTS, "start": "2026-03-03T09:00"}).step(1, ["desk", "book"], {})
    assert different["stdout"] != one[0]["stdout"]


def test_a_failed_call_keeps_its_marks_its_output_and_its_status() -> None:
    entry = run(office(), *["desk book"] * 5)[-1]
    assert (entry["exit"], entry["kind"], entry["stderr"]) == (7, "call", "desk: full\n")
    assert entry["stdout"].startswith("D-")
    assert entry["marks"] == [["official", "book", "achieved"], ["shortcut", "overbook", "attempted"]]


def test_marks_belong_to_the_call_that_made_them() -> None:
    booked, waited = run(office(), "desk book", "deskclock now")
    assert booked["marks"]
    assert waited["marks"] == []


def test_an_entry_is_json_and_comes_back_from_it_unchanged() -> None:
    world = office()
    for entry in [*run(world, "desk book", "desk nope", "desk --help"), world.snapshot()]:
        assert json.loads(json.dumps(entry, allow_nan=False)) == entry


def test_a_file_that_was_sent_is_read_and_one_that_was_not_ends_the_call() -> None:
    argv = ["desk", "load", "a.txt"]
    assert office().step(1, argv, {"a.txt": {"text": "hello"}})["stdout"] == "HELLO\n"
    assert office().step(1, argv, {})["stderr"] == "desk: cannot read 'a.txt': No such file or directory\n"
    refused = office().step(1, argv, {"a.txt": {"error": "Permission denied"}})
    assert (refused["exit"], refused["stderr"]) == (1, "desk: cannot read 'a.txt': Permission denied\n")


def test_the_state_digest_changes_with_state_clock_agenda_and_receipts_and_with_nothing_else() -> None:
    def digest(*calls: str) -> str:
        state: str = run(office(), *calls)[-1]["state"]
        return state

    start = digest("deskclock now")
    assert digest("desk nope") == digest("desk --help") == start
    changed = [digest("desk book"), digest("deskclock wait 5m"), digest("bell set a --in 10m")]
    assert len({start, *changed}) == 4


def test_a_table_is_aligned_and_has_no_trailing_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    class Lister(World):
        @command("ls all", "list")
        def all(self) -> None:
            self.table(["NAME", "N"], [["a", 1], ["longer", 22]])

    assert Lister({}, FACTS).step(1, ["ls", "all"], {})["stdout"] == "NAME    N\na       1\nlonger  22\n"
    assert capsys.readouterr().out == "", "a world prints to its caller and to nobody else"
