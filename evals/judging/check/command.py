"""What `sidedoor judge-check` does and prints."""

from pathlib import Path

from rich.console import Console

from sidedoor.evals.judging.check.report import lines
from sidedoor.evals.judging.check.run import check_judge
from sidedoor.evals.judging.study import Study, as_view
from sidedoor.scorers.judge.judgement import Judging
from sidedoor.scorers.judge.panel import Panel
from sidedoor.scorers.judge.rubric import load_rubric


def check_command(
    console: Console, judges: list[str], view: str, evidence: bool, rubric: str, results: Path, at_once: int
) -> int:
    """Check judges one after another and say what they are worth.

    Returns:
        The exit code: 0 if all are fit, 1 if not.

    Raises:
        StudyError: a judge cannot be used, or there is no such view.
        CaseError: no such rubric.
    """
    words, judging = load_rubric(rubric), Judging(view=as_view(view), evidence=evidence)
    fit = True
    for judge in dict.fromkeys(judges):
        panel = Panel(judges=(judge,), exclude_self=False)
        study = Study(panel=panel, judging=judging, rubric=words.id, rubric_sha256=words.digest)
        result = check_judge(judge, study, results, at_once, console)
        for line in lines(result):
            console.print(line, highlight=False, soft_wrap=True, markup=False)
        fit = fit and result.fit
    return 0 if fit else 1
