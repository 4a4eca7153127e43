"""What the commands do: read, decide, write, and say how it ended as an exit code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from sidedoor.evals.gate import exits
from sidedoor.evals.gate.baseline import Baseline, read_baseline
from sidedoor.evals.gate.observed import DataError, observe
from sidedoor.evals.gate.outputs.files import JSON, write_result
from sidedoor.evals.gate.outputs.text import to_text
from sidedoor.evals.gate.policy import Policy, load_policy
from sidedoor.evals.gate.result import GateResult, Verdict
from sidedoor.evals.gate.self_test import self_test
from sidedoor.evals.gate.self_test import to_text as self_test_text
from sidedoor.evals.gate.sequential import DECIDED, decide_in_looks, read_plan
from sidedoor.evals.gate.verdict import judge, unreadable
from sidedoor.tasks.yaml_source import SourceError

FOLDER: Final = "gate"
SELF_TEST: Final = "self-test.json"

Say: TypeAlias = Callable[[str], object]


class GateRequest(NamedTuple):
    """What was asked for.

    Attributes:
        run: the candidate.
        policy: path of the policy.
        baseline: path of the baseline, if there is one.
        against: the baseline's model to compare with, if it is not clear.
        out: folder for the result; the run's own by default.
        budget: most samples per model of a run that grows; None for a run that does not.
    """

    run: Path
    policy: Path
    baseline: Path | None = None
    against: str | None = None
    out: Path | None = None
    budget: int | None = None


def run_gate(request: GateRequest, say: Say) -> int:
    """Decide, write every form of the result, and print it.

    Returns:
        The exit code: 0 pass, 1 fail, 3 invalid data, 4 inconclusive (or what the policy makes of it).

    Raises:
        SourceError: a policy, path or option cannot be used (exit code 2).
    """
    policy = load_policy(request.policy)
    try:
        result = _decide(request, policy)
    except DataError as error:
        result = unreadable(error, policy)
    folder = request.out or default_folder(request.run)
    write_result(folder, result)
    say(to_text(result))
    say(f"written: {folder}\n")
    return exit_code(result.verdict, policy)


def run_self_test(request: GateRequest, say: Say) -> int:
    """Test the gate on a run's own epochs.

    Returns:
        0 if every control came out as it must, else 1.

    Raises:
        SourceError: the policy cannot be used.
        DataError: the run cannot be split.
    """
    result = self_test(observe(request.run), load_policy(request.policy))
    folder = request.out or default_folder(request.run)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result.model_dump(mode="json"), indent=2) + "\n"
        (folder / SELF_TEST).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SourceError(f"cannot write the result to {folder}: {error.strerror}") from None
    say(self_test_text(result))
    say(f"written: {folder / SELF_TEST}\n")
    return exits.PASS if result.ok else exits.FAIL


def exit_code(verdict: Verdict, policy: Policy) -> int:
    """A verdict's exit code under a policy."""
    inconclusive = {"fail": exits.FAIL, "pass": exits.PASS, "neutral": exits.INCONCLUSIVE}[policy.on_inconclusive]
    codes = {"PASS": exits.PASS, "FAIL": exits.FAIL, "INVALID": exits.INVALID, "INCONCLUSIVE": inconclusive}
    return codes[verdict]


def default_folder(run: Path) -> Path:
    """Where the result of a run goes."""
    return run / FOLDER if run.is_dir() else Path(FOLDER)


def _decide(request: GateRequest, policy: Policy) -> GateResult:
    baseline = read_baseline(request.baseline) if request.baseline else None
    if request.budget is not None:
        return _grow(request, request.budget, policy, baseline)
    if request.run.is_dir() and read_plan(request.run) is not None:
        raise SourceError(f"{request.run}: looks at this run were declared; gate it with --sequential")
    return judge(observe(request.run), baseline, policy, against=request.against)


def _grow(request: GateRequest, budget: int, policy: Policy, baseline: Baseline | None) -> GateResult:
    from rich.console import Console

    from sidedoor.evals.gate.growing import RunFolder

    run = RunFolder(request.run, Console(stderr=True))
    _check_unseen(request.run)
    return decide_in_looks(run, request.run, budget, baseline, policy, request.against)


def _check_unseen(run: Path) -> None:
    """Looks are declared before anyone has looked: growing a run that was decided is running it until it is green."""
    path = run / FOLDER / JSON
    if read_plan(run) is not None or not path.exists():
        return
    try:
        verdict = json.loads(path.read_bytes()).get("verdict")
    except (OSError, ValueError, AttributeError):
        return
    if verdict in (*DECIDED, "INCONCLUSIVE"):
        raise SourceError(f"{run}: this run was gated already ({verdict}); start a new run for --sequential")
