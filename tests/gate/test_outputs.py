"""Every form of the result says the same, fits where it goes, and is inert whatever a log's names say."""

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from sidedoor.evals.gate.observed import DataError, Observed
from sidedoor.evals.gate.outputs.annotations import MOST, scenario_file, to_annotations
from sidedoor.evals.gate.outputs.files import write_result
from sidedoor.evals.gate.outputs.junit import to_junit
from sidedoor.evals.gate.outputs.markdown import COMMENT_LIMIT, to_markdown
from sidedoor.evals.gate.outputs.text import to_text
from sidedoor.evals.gate.result import GateResult
from sidedoor.evals.gate.verdict import judge, unreadable
from sidedoor.scorers.failures import Failure
from sidedoor.tasks.yaml_source import SourceError
from tests.gate.conftest import decide, join, make_cohort, missing_cells, policy_of

ROOT = Path(__file__).parents[2]
HOSTILE = (
    "m/`x` |\n::error file=a::pwned\n# head <script>alert(1)</script> @everyone [a](javascript:b) ![](http://evil) "
    "```\n%0A::warning::x \u202etxt\x1b[2J \uffff ]]> &amp; *b* _c_ ~~~ <!-- $(rm) #1 https://evil.example"
)
TEXT = """
metrics:
  constraint_violated: {margin: 5, max_rate: 50}
  engaged: {margin: 10}
"""


def mixed(model: str = "m/one") -> GateResult:
    """A failing case, two passing ones, and an inconclusive one of another model."""
    old = join(make_cohort("old", events=8, model=model), make_cohort("old", events=8, model="m/two"))
    new = join(make_cohort("new", events=60, model=model), make_cohort("new", events=14, model="m/two"))
    return decide(new, old, TEXT)


def test_gate_json_is_the_result_and_comes_back(tmp_path: Path) -> None:
    result = mixed()
    write_result(tmp_path, result)
    assert GateResult.model_validate_json((tmp_path / "gate.json").read_bytes()) == result
    assert json.loads((tmp_path / "gate.json").read_text())["schema_version"] == 1


def test_the_same_data_give_the_same_bytes_apart_from_when_they_were_made(tmp_path: Path) -> None:
    for name in ("a", "b"):
        result = mixed()
        same = result.made.model_copy(update={"at": "", "runs": ()})
        write_result(tmp_path / name, result.model_copy(update={"made": same}))
    for path in (tmp_path / "a").iterdir():
        one, other = (
            re.sub(r"baseline old of \S+|\"created\": \S+|\"sha256\": \S+", "", p.read_text())
            for p in (path, tmp_path / "b" / path.name)
        )
        assert one == other


# ---- JUnit ----------------------------------------------------------------------------------------------------


def test_junit_has_a_suite_per_metric_and_a_case_per_model_and_test() -> None:
    root = ET.fromstring(to_junit(mixed()))  # noqa: S314 - made here
    assert [suite.get("name") for suite in root] == ["constraint_violated", "engaged"]
    first = root[0]
    assert (first.get("tests"), first.get("failures"), first.get("skipped"), first.get("errors")) == (
        "4",
        "1",
        "1",
        "0",
    )
    assert root.get("tests") == "6"
    names = {case.get("name"): case for case in first}
    failed = names["difference: m/one, all, margin 5 points"]
    assert failed[0].tag == "failure"
    skipped = names["difference: m/two, all, margin 5 points"]
    assert skipped[0].tag == "skipped"
    assert "would decide" in str(skipped[0].get("message"))


def test_an_invalid_gate_is_an_error_in_junit_and_never_an_empty_success() -> None:
    for result in (
        unreadable(DataError("no sample"), policy_of()),
        judge(_empty(), None, policy_of("zero_tolerance: [tampered]")),
    ):
        root = ET.fromstring(to_junit(result))  # noqa: S314 - made here
        assert int(str(root.get("errors"))) >= 1
        assert root.find(".//error") is not None


def _empty() -> Observed:
    return replace(make_cohort("x"), samples=())


def test_every_output_of_a_run_that_was_killed_counts_the_phases_that_it_was_killed_in() -> None:
    whole, killed = make_cohort("old"), [Failure.KILLED_IN_TURN, Failure.KILLED_AT_START, Failure.KILLED_IN_TURN]
    lost = {"missing": missing_cells("m/one", 9), "lost": 9}
    cut = make_cohort("new", **lost, killed={"m/one": killed})
    result = decide(cut, whole, "metrics: {constraint_violated: {margin: 5}}\nlimits: {missing: 3}\n")
    assert (result.verdict, result.models[0].missing) == ("INVALID", 9)
    assert result.models[0].killed == {Failure.KILLED_AT_START: 1, Failure.KILLED_IN_TURN: 2}
    for text in (to_text(result), to_markdown(result, COMMENT_LIMIT), to_junit(result)):
        assert "1 killed_at_start, 2 killed_in_turn" in text


def test_a_model_of_which_nothing_ended_is_counted_too() -> None:
    run = make_cohort("new", missing=missing_cells("m/two", 3), lost=3, killed={"m/two": [Failure.KILLED_IN_SCORING]})
    assert [(one.model, one.valid, one.missing) for one in run.tallies()] == [("m/one", 168, 0), ("m/two", 0, 3)]
    assert run.tallies()[1].killed == {Failure.KILLED_IN_SCORING: 1}


def test_hostile_names_do_not_break_junit() -> None:
    root = ET.fromstring(to_junit(mixed(HOSTILE)))  # noqa: S314 - made here
    assert {element.tag for element in root.iter()} <= {"testsuites", "testsuite", "testcase", "failure", "skipped"}
    assert not any("\x1b" in str(value) for element in root.iter() for value in element.attrib.values())


# ---- Markdown -------------------------------------------------------------------------------------------------


def test_markdown_tells_the_verdict_first_and_the_worst_case_next() -> None:
    text = to_markdown(mixed(), COMMENT_LIMIT)
    assert text.startswith("## ❌ Gate: FAIL\n")
    rows = [line for line in text.splitlines() if line.startswith(("| ❌", "| ✅"))]
    assert rows[0].startswith("| ❌ FAIL")


def test_hostile_names_are_inert_in_markdown() -> None:
    text = to_markdown(mixed(HOSTILE), COMMENT_LIMIT)
    bare = _outside_code(text)
    for sign in ("<script>", "@everyone", "javascript:", "![", "http", "<!--", "#1", "pwned", "\x1b", "\u202e"):
        assert sign not in bare, sign
    assert not any(line.startswith(("::", "# ")) for line in text.splitlines())


def _outside_code(text: str) -> str:
    """What a Markdown renderer takes for mark-up: everything but code blocks and code spans."""
    text = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", "", text, flags=re.DOTALL)


def test_a_pipe_in_a_name_adds_no_cell_to_a_table() -> None:
    rows = [line for line in to_markdown(mixed("m/a|b|c"), COMMENT_LIMIT).splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


def test_a_comment_fits_and_says_what_it_leaves_out() -> None:
    models = [f"m/{number:03}-{'x' * 60}" for number in range(150)]
    old = join(*(make_cohort("old", model=model, epochs=1, scenarios=["s0"]) for model in models))
    new = join(*(make_cohort("new", model=model, epochs=1, scenarios=["s0"]) for model in models))
    text = to_markdown(decide(new, old), COMMENT_LIMIT)
    assert len(text) <= COMMENT_LIMIT
    assert re.search(r"\d+ more cases are in gate\.json", text)


def test_a_comment_of_endless_reasons_fits_too() -> None:
    result = unreadable(DataError("x"), policy_of()).model_copy(update={"reasons": ("é" * 10_000,) * 500})
    assert len(to_markdown(result, COMMENT_LIMIT)) <= COMMENT_LIMIT


# ---- annotations ----------------------------------------------------------------------------------------------


def test_annotations_stand_on_the_scenarios_that_got_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names = ["quota_boost", "memory_keeper"]
    new = make_cohort("new", 0, scenarios=names, epochs=20)
    bad = [one._replace(labels={**one.labels, "constraint_violated": one.scenario == names[1]}) for one in new.samples]
    result = decide(replace(new, samples=tuple(bad)), make_cohort("old", 0, scenarios=names, epochs=20))
    lines = to_annotations(result).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("::error file=tasks/instrumental/memory_keeper/scenario.yaml,line=1,title=")


def test_an_inconclusive_case_is_a_warning_and_a_passing_one_is_silent() -> None:
    assert to_annotations(decide(make_cohort("new", events=14), make_cohort("old", events=8))).startswith("::warning ")
    assert to_annotations(decide(make_cohort("new", events=8), make_cohort("old", events=8))) == ""


def test_hostile_names_are_one_command_per_line_without_properties_of_their_own() -> None:
    lines = to_annotations(mixed(HOSTILE)).splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"::(error|warning) title=[^,:]*::.*", line), line


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "no_such_scenario", "quota_boost,line=9", ""])
def test_a_scenario_name_is_a_path_only_if_the_file_is_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert scenario_file("instrumental", name) is None
    assert scenario_file("../tasks/instrumental", "quota_boost") is None


def test_a_scenario_file_outside_the_working_folder_is_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert scenario_file("instrumental", "quota_boost") is None


def test_no_more_annotations_than_are_shown() -> None:
    models = [f"m/{number}" for number in range(30)]
    old = join(*(make_cohort("old", 0, model=model) for model in models))
    new = join(*(make_cohort("new", 1, model=model) for model in models))
    assert len(to_annotations(decide(new, old)).splitlines()) == MOST


# ---- text -----------------------------------------------------------------------------------------------------


def test_text_is_one_line_per_fact_without_control_characters() -> None:
    text = to_text(mixed(HOSTILE))
    assert text.startswith("gate: FAIL: constraint_violated FAIL, engaged PASS\n")
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_text_has_counts_interval_level_and_p_value() -> None:
    text = to_text(mixed())
    assert "60/168, baseline 8/168; +31.0 [" in text
    assert "at 90 %" in text


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot write the result"):
        write_result(tmp_path / "file", mixed())
