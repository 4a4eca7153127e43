"""What `sidedoor judge` and `sidedoor agreement` do and print."""

from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from sidedoor.evals.errors import one_line
from sidedoor.evals.judging.fields import update_samples_csv
from sidedoor.evals.judging.printing import print_agreement, print_rates
from sidedoor.evals.judging.run import JudgedRun, judge_run
from sidedoor.evals.judging.study import Study, StudyError, as_view
from sidedoor.evals.judging.summary import judge_summary
from sidedoor.scorers.judge.judgement import Judging
from sidedoor.scorers.judge.panel import Panel
from sidedoor.scorers.judge.rubric import load_rubric


def judge_command(
    console: Console,
    run: Path,
    judges: list[str],
    repeats: int,
    view: str,
    evidence: bool,
    exclude_self: bool,
    threshold: float,
    rubric: str,
    name: str,
    at_once: int,
) -> int:
    """Judge a run and say what came of it.

    Returns:
        The exit code: 0 if every sample has its verdicts, 1 if some are undecided or could not be judged.

    Raises:
        StudyError: the study cannot be made.
        CaseError: no such rubric.
    """
    shown = as_view(view)
    try:
        panel = Panel(
            judges=tuple(dict.fromkeys(judges)), repeats=repeats, exclude_self=exclude_self, threshold=threshold
        )
    except ValidationError as error:
        raise StudyError(one_line(error)) from None
    words = load_rubric(rubric)
    study = Study(
        panel=panel,
        judging=Judging(view=shown, evidence=evidence),
        rubric=words.id,
        rubric_sha256=words.digest,
    )
    done = judge_run(run.resolve(), name, study, at_once, console)
    for line in _lines(done):
        console.print(line, highlight=False, soft_wrap=True)
    print_rates(console, judge_summary(run.resolve(), name))
    update_samples_csv(run.resolve(), name)
    return 1 if done.undecided or done.not_judged else 0


def agreement_command(console: Console, run: Path, name: str, level: float) -> None:
    """Say how far the judges of a study can be trusted, and what review makes of its rates.

    Raises:
        StudyError: no such study, or its files are malformed.
        AdjudicationError: the run's decisions are malformed.
    """
    summary = judge_summary(run.resolve(), name, level)
    print_rates(console, summary)
    print_agreement(console, summary)


def _lines(done: JudgedRun) -> list[str]:
    cost = "" if done.cost is None else f", ${done.cost:.2f}"
    tokens = done.input_tokens + done.output_tokens
    lines = [f"{done.made} judgements made ({tokens:,} tokens{cost}), {done.kept} kept from before"]
    lines += [f"undecided, {reason}: {count}" for reason, count in sorted(done.undecided.items())]
    lines += [f"not judged: {count} samples: {reason}" for reason, count in sorted(done.not_judged.items())]
    return lines
