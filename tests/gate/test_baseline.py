"""Baselines: read in a review, changed with a reason, and never the run that they are compared with."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sidedoor.evals.gate.baseline import Step, append_log, log_path, now, read_baseline, read_log, write_baseline
from sidedoor.evals.gate.keeping import compare, drift
from sidedoor.evals.gate.observed import DataError
from sidedoor.tasks.yaml_source import SourceError
from tests.commands import Cli
from tests.gate.conftest import POLICY, WriteRun, baseline_of, make_cohort, policy_of

WritePolicy = Callable[..., Path]
# With margins this wide a run of 56 samples decides.
WIDE = "metrics: {constraint_violated: {margin: 30}}\n"


def test_a_baseline_comes_back_as_it_was_written(tmp_path: Path) -> None:
    baseline = baseline_of(make_cohort("old"))
    write_baseline(tmp_path / "old.json", baseline)
    assert read_baseline(tmp_path / "old.json") == baseline


def test_a_diff_shows_the_cells_that_changed_and_no_others(tmp_path: Path) -> None:
    run = make_cohort("old", 0)
    write_baseline(tmp_path / "a.json", baseline_of(run))
    first = run.samples[0]
    changed = first._replace(labels={**first.labels, "constraint_violated": True})
    write_baseline(tmp_path / "b.json", baseline_of(replace(run, samples=(changed, *run.samples[1:]))))
    pairs = zip(*((tmp_path / name).read_text().splitlines() for name in ("a.json", "b.json")), strict=True)
    differing = [new for old, new in pairs if old != new and '"created"' not in new]
    assert len(differing) == 1
    assert f'"scenario": "{first.scenario}", "variant": "{first.variant}"' in differing[0]
    assert '"constraint_violated": [1, 3]' in differing[0]


def test_cells_are_one_line_each_and_sorted(tmp_path: Path) -> None:
    write_baseline(tmp_path / "old.json", baseline_of(make_cohort("old")))
    lines = [line for line in (tmp_path / "old.json").read_text().splitlines() if '"events"' in line]
    places = [tuple(json.loads(line.rstrip(","))[key] for key in ("model", "scenario", "variant")) for line in lines]
    assert len(places) == 56
    assert places == sorted(places)


def test_a_name_cannot_hide_in_a_review(tmp_path: Path) -> None:
    write_baseline(tmp_path / "old.json", baseline_of(make_cohort("old", model='m/\u202eevil"\n', epochs=1)))
    text = (tmp_path / "old.json").read_text()
    assert text.isascii()
    assert read_baseline(tmp_path / "old.json").models == ('m/\u202eevil"\n',)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[]", "expected an object"),
        ('{"schema_version": 2}', "a baseline of schema 2, and this version reads 1"),
        ('{"schema_version": 1}', "not a baseline: name: Field required"),
        ("[" * 100_000, "not JSON"),
        ("\xff", "not a baseline|not JSON"),
    ],
)
def test_a_file_that_is_no_baseline_is_one_clear_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=words) as raised:
        read_baseline(tmp_path / "x.json")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data["cells"].append(data["cells"][0]), "is there twice"),
        (lambda data: data["cells"][0]["events"].update(constraint_violated=[4, 3]), "impossible counts"),
        (lambda data: data["cells"][0]["events"].update(constraint_violated=[1, 9]), "impossible counts"),
        (lambda data: data["cells"][0]["events"].update(nonsense=[0, 1]), "impossible counts of nonsense"),
        (lambda data: data["cells"][0].update(samples=-1), "greater than or equal to 0"),
        (lambda data: data.update(cells=[]), "at least 1 item"),
        (lambda data: data.update(extra=1), "extra: Extra inputs are not permitted"),
    ],
)
def test_an_edited_baseline_that_cannot_be_is_refused(tmp_path: Path, change: Callable[..., None], words: str) -> None:
    path = tmp_path / "old.json"
    write_baseline(path, baseline_of(make_cohort("old")))
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match=re.escape(words)):
        read_baseline(path)


def test_the_digest_is_of_what_it_says_and_not_of_its_layout(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    baseline = baseline_of(make_cohort("old"))
    path.write_text(json.dumps(baseline.model_dump(mode="json"), indent=8))
    assert read_baseline(path).digest() == baseline.digest()


def test_create_makes_one_and_never_overwrites(cli: Cli, write_run: WriteRun, tmp_path: Path) -> None:
    run, path = write_run("first"), tmp_path / "baselines" / "main.json"
    made = cli("baseline", "create", run, path)
    assert made.code == 0
    assert "m/one: 56 samples in 56 cells, 0 invalid" in made.out
    again = cli("baseline", "create", run, path)
    assert (again.code, again.complaint) == (
        2,
        f"{path}: there is a baseline already; change it with sidedoor baseline update",
    )


def test_create_from_nothing_is_invalid_data(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty" / "logs").mkdir(parents=True)
    ended = cli("baseline", "create", tmp_path / "empty", tmp_path / "x.json")
    assert ended.code == 3
    assert "no run, import or .eval log there" in ended.complaint


def test_update_wants_a_reason_and_writes_it_down(
    cli: Cli, write_run: WriteRun, policy_file: WritePolicy, tmp_path: Path
) -> None:
    path, policy = tmp_path / "main.json", policy_file(WIDE)
    cli("baseline", "create", write_run("first"), path)
    second = write_run("second")
    assert "--reason" in cli("baseline", "update", path, second, "--policy", policy).err
    blank = cli("baseline", "update", path, second, "--policy", policy, "--reason", " ")
    assert blank.complaint.startswith("--reason: say")
    done = cli("baseline", "update", path, second, "--policy", policy, "--reason", "new prompt")
    assert done.code == 0
    assert read_baseline(path).reason == "new prompt"
    (step,) = read_log(path)
    assert (step.reason, step.verdict, step.forced, step.replaced.runs) == ("new prompt", "PASS", False, ("first",))
    shown = cli("baseline", "show", path)
    assert "(PASS): new prompt" in shown.out


@pytest.mark.parametrize(("events", "content", "code"), [(5, "c", 4), (3, "d", 3)])
def test_update_refuses_what_the_gate_could_not_decide_unless_forced(
    cli: Cli, write_run: WriteRun, policy_file: WritePolicy, tmp_path: Path, events: int, content: str, code: int
) -> None:
    path, policy = tmp_path / "main.json", policy_file(POLICY)
    cli("baseline", "create", write_run("first", 3), path)
    run = write_run("second", events, content=content * 64)
    arguments = ("baseline", "update", path, run, "--policy", policy, "--reason", "because")
    refused = cli(*arguments)
    assert refused.code == code
    assert refused.complaint.startswith("not changed, IN")
    assert read_baseline(path).runs == ("first",)
    assert not log_path(path).exists()
    assert cli(*arguments, "--force").code == 0
    assert [step.forced for step in read_log(path)] == [True]


def test_a_baseline_is_not_updated_by_the_run_that_it_was_made_from(
    cli: Cli, write_run: WriteRun, policy_file: WritePolicy, tmp_path: Path
) -> None:
    path, run = tmp_path / "main.json", write_run("first")
    cli("baseline", "create", run, path)
    ended = cli("baseline", "update", path, run, "--policy", policy_file(), "--reason", "x", "--force")
    assert "the baseline was made from this run" in ended.complaint


def test_steps_that_were_let_through_one_by_one_add_up_to_a_warning(
    cli: Cli, write_run: WriteRun, policy_file: WritePolicy, tmp_path: Path
) -> None:
    path, policy = tmp_path / "main.json", policy_file(WIDE)
    cli("baseline", "create", write_run("run0", 2), path)
    warned = []
    for number, events in enumerate((6, 12, 18), 1):
        run = write_run(f"run{number}", events)
        done = cli("baseline", "update", path, run, "--policy", policy, "--reason", f"step {number}")
        assert done.code == 0, done.err
        warned.append("warning: constraint_violated of m/one (all)" in done.out)
    assert warned == [False, True, True]


def test_a_drift_is_measured_on_scenarios_that_stayed_the_same() -> None:
    old, new = make_cohort("old", 0.0), make_cohort("new", 1.0)
    step = Step(at=now(), reason="r", verdict="PASS", forced=False, runs=(), replaced=baseline_of(old))
    assert len(list(drift([step, step], baseline_of(new), policy_of()))) == 1
    digests = new.digests.model_copy(update={"scenarios": dict.fromkeys(new.digests.scenarios, "2-A x")})
    changed = baseline_of(make_cohort("new", 1.0, digests=digests))
    assert list(drift([step, step], changed, policy_of())) == []


def test_a_damaged_log_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "main.json"
    step = Step(
        at=now(), reason="r", verdict="PASS", forced=False, runs=(), replaced=baseline_of(make_cohort("o", epochs=1))
    )
    append_log(path, step)
    with log_path(path).open("a") as stream:
        stream.write("{}\n")
    with pytest.raises(DataError, match=r"main\.log\.jsonl:2: "):
        read_log(path)


def test_diff_names_rates_parts_and_cells(cli: Cli, write_run: WriteRun, tmp_path: Path) -> None:
    for name, events in (("first", 3), ("second", 9)):
        cli("baseline", "create", write_run(name, events), tmp_path / f"{name}.json")
    shown = cli("baseline", "diff", tmp_path / "first.json", tmp_path / "second.json")
    assert shown.code == 0
    assert "m/one, constraint_violated: 3/56 -> 9/56 (+10.7 points)" in shown.out
    assert "of 56 cells changed" in shown.out


def test_a_changed_scenario_and_scorer_are_in_the_diff() -> None:
    old = make_cohort("old")
    digests = old.digests.model_copy(update={"scorer": "t", "scenarios": {**old.digests.scenarios, "s0": "2-A d"}})
    lines = list(compare(baseline_of(old), baseline_of(make_cohort("new", digests=digests))))
    assert "scorer: s -> t" in lines
    assert "scenario s0: 1-A c -> 2-A d" in lines


@pytest.mark.parametrize("command", [("show", "none.json"), ("diff", "none.json", "none.json")])
def test_a_baseline_that_is_not_there_is_a_usage_error(cli: Cli, command: tuple[str, ...]) -> None:
    ended = cli("baseline", *command)
    assert ended.code == 2
    assert ended.complaint == "none.json: No such file or directory"


def test_a_baseline_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot write the baseline"):
        write_baseline(tmp_path / "file" / "x.json", baseline_of(make_cohort("old", epochs=1)))
