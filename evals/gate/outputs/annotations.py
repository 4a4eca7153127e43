"""The verdict as GitHub workflow commands, which put a line on the scenario files concerned.

Trust boundary: names come from logs. A workflow command ends at its line and its properties at commas and colons, so
that these are escaped as GitHub's own toolkit does; a scenario's name becomes a path only if the file is there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sidedoor.evals.gate.result import WORST_FIRST, Case, GateResult
from sidedoor.evals.gate.wording import title
from sidedoor.evals.report.text import one_line
from sidedoor.tasks.catalogue import ROOT

MOST: Final = 10
"""GitHub shows ten annotations of each level per step."""

_LEVEL: Final = {"INVALID": "error", "FAIL": "error", "INCONCLUSIVE": "warning"}
_DATA: Final = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY: Final = _DATA | {":": "%3A", ",": "%2C"}


def to_annotations(result: GateResult) -> str:
    """One workflow command per line; the worst first, and no more than GitHub shows."""
    lines = [_command("error", "Gate: INVALID", reason) for reason in result.reasons]
    for case in sorted(result.cases, key=lambda case: WORST_FIRST.index(case.verdict)):
        lines += _of_case(result.suite, case)
    shown = [
        line
        for level in ("error", "warning")
        for line in [one for one in lines if one.startswith(f"::{level} ")][:MOST]
    ]
    return "".join(f"{line}\n" for line in shown)


def _of_case(suite: str, case: Case) -> Iterator[str]:
    level = _LEVEL.get(case.verdict)
    if level is None:
        return
    heading = f"{case.outcome}: {case.verdict} ({title(case)})"
    files = [file for scenario in case.scenarios if (file := scenario_file(suite, scenario))]
    for file in files or (None,):
        yield _command(level, heading, case.reason, file)


def scenario_file(suite: str, scenario: str) -> str | None:
    """A scenario's file relative to the working folder; None if it is not below it, or not there."""
    if not (suite.isidentifier() and scenario.isidentifier()):
        return None
    path = ROOT / suite / scenario / "scenario.yaml"
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_file() and path.is_relative_to(here) else None


def _command(level: str, heading: str, message: str, file: str | None = None) -> str:
    properties = {"file": file, "line": "1" if file else None, "title": heading}
    told = ",".join(f"{key}={_escape(value, _PROPERTY)}" for key, value in properties.items() if value)
    return f"::{level} {told}::{_escape(message, _DATA)}"


def _escape(text: str, signs: dict[str, str]) -> str:
    return "".join(signs.get(character, character) for character in one_line(text))
