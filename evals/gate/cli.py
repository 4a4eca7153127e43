"""`sidedoor gate` and `sidedoor baseline`. Heavy modules are imported inside the commands."""

import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from sidedoor.evals.errors import one_line, user_errors
from sidedoor.evals.gate import exits

baselines = typer.Typer(
    help="Committed results that a gate compares with.", no_args_is_help=True, rich_markup_mode=None
)

BASELINES = Path("results/baselines")
POLICY = Path("gate.yaml")

PolicyFile = Annotated[Path, typer.Option("--policy", help="What is tolerated: a gate.yaml.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the baseline.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run (results/runs/<id>), or logs.")]
BaselineFile = Annotated[Path, typer.Argument(metavar="BASELINE", help="results/baselines/NAME.json")]


def add_commands(app: typer.Typer) -> None:
    """Add the gate's commands to the program."""
    app.command("gate")(gate)
    app.add_typer(baselines, name="baseline")


def gate(
    run: RunFolder,
    baseline: Annotated[Path | None, typer.Option(help="results/baselines/NAME.json")] = None,
    policy: PolicyFile = POLICY,
    against: Annotated[str | None, typer.Option(help="The baseline's model to compare with.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the result; RUN/gate if left out.")] = None,
    sequential: Annotated[bool, typer.Option("--sequential", help="Grow RUN in declared looks; see --budget.")] = False,
    budget: Annotated[int | None, typer.Option(min=1, help="Most samples per model with --sequential.")] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Test the gate itself: split RUN's epochs against each other.")
    ] = False,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit 0 whatever the verdict.")] = False,
) -> None:
    """Decide whether a run is worse than a baseline: PASS, FAIL, INCONCLUSIVE or INVALID.

    Exit codes: 0 pass, 1 fail, 2 usage, 3 invalid data, 4 inconclusive (unless the policy says otherwise), 70 internal.
    """
    with _exit_codes():
        from sidedoor.evals.gate.command import GateRequest, run_gate, run_self_test

        if sequential != (budget is not None):
            _stop("--sequential and --budget N belong together", exits.USAGE)
        if self_test and sequential:
            _stop("--self-test looks at a finished run; leave out --sequential", exits.USAGE)
        request = GateRequest(run, policy, baseline, against, out, budget)
        code = (run_self_test if self_test else run_gate)(request, sys.stdout.write)
        raise typer.Exit(0 if exit_zero else code)


@baselines.command("create")
def create(
    run: RunFolder,
    path: Annotated[Path, typer.Argument(metavar="BASELINE", help="File to make: results/baselines/NAME.json")],
    reason: Reason = "first baseline",
) -> None:
    """Make a baseline of a run."""
    with _exit_codes():
        from sidedoor.evals.gate import keeping

        _say(keeping.create(run, path, reason))


@baselines.command("update")
def update(
    path: BaselineFile,
    run: RunFolder,
    reason: Annotated[str, typer.Option(help="Why the baseline changes; kept in its log.")],
    policy: PolicyFile = POLICY,
    force: Annotated[bool, typer.Option("--force", help="Also if the gate is INCONCLUSIVE or INVALID.")] = False,
) -> None:
    """Replace a baseline by a run; refused unless the gate could decide."""
    with _exit_codes():
        from sidedoor.evals.gate import keeping

        try:
            _say(keeping.update(path, run, policy, reason, force))
        except keeping.RefusedError as error:
            _stop(one_line(error), exits.INVALID if error.verdict == "INVALID" else exits.INCONCLUSIVE)


@baselines.command("show")
def show(path: BaselineFile) -> None:
    """Show a baseline: its rates, what they depend on, and how it came about."""
    with _exit_codes():
        from sidedoor.evals.gate import keeping

        _say(keeping.show(path))


@baselines.command("diff")
def diff(
    old: BaselineFile, new: Annotated[Path, typer.Argument(metavar="OTHER", help="The one to compare it with.")]
) -> None:
    """Show what differs between two baselines."""
    with _exit_codes():
        from sidedoor.evals.gate import keeping

        _say(keeping.diff(old, new))


def _say(lines: Iterable[str]) -> None:
    from sidedoor.scorers.visible import visible

    for line in lines:
        sys.stdout.write(f"{visible(line)}\n")


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Invalid data ends in 3, and a defect in 70: with Python's own 1 it would read as a verdict."""
    try:
        yield
    except typer.Exit:
        raise
    except user_errors() as error:
        from sidedoor.evals.gate.observed import DataError

        _stop(one_line(error), exits.INVALID if isinstance(error, DataError) else exits.USAGE)
    except Exception:  # noqa: BLE001 - whatever it is, it is a defect, and must not be taken for a verdict
        traceback.print_exc()
        raise SystemExit(exits.INTERNAL) from None


def _stop(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"sidedoor: {message}\n")
    raise SystemExit(code)
