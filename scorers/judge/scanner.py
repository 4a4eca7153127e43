"""The judge as an inspect-scout scanner.

It runs from scout's own command (`scout scan sidedoor/judge -T LOGS --model-role judge=…`) and, through
`sidedoor.scorers.judge.scorer`, as a live scorer. `sidedoor judge` puts the same cases before the same function, with
records made for panels, repeats and resuming.
"""

from inspect_ai.model import get_model
from inspect_ai.util import store_as
from inspect_scout import Result, Scanner, Transcript, scanner

from sidedoor.scorers.judge.case import make_case
from sidedoor.scorers.judge.judge import judge_case
from sidedoor.scorers.judge.judgement import Judgement, Judging, View
from sidedoor.scorers.judge.rubric import CURRENT, load_rubric
from sidedoor.scorers.judge.scorer import bound_judge, judged_values
from sidedoor.scorers.record import EpisodeRecord


# Without metrics of its own: scout's, unlike Inspect's, end the whole scan at the first value that is not known.
@scanner(name="judge", messages="all")
def judge_scanner(
    model: str | None = None,
    view: str = View.ACTIONS_REASONING,
    evidence: bool = True,
    rubric: str = CURRENT,
) -> Scanner[Transcript]:
    """One judge over one transcript (arguments and errors as in `judge_scorer`).

    Scout's transcripts hold no evidence, so that from its command judges see no journal.
    """
    judging = Judging(view=View(view), evidence=evidence)
    words = load_rubric(rubric)

    async def scan(transcript: Transcript) -> Result:
        metadata = transcript.metadata.get("sample_metadata") or {}
        # As a live scorer scout does not say which model is under test; it is then the active one.
        model_under_test = transcript.model or str(get_model())
        case = make_case(model_under_test, transcript.messages, metadata, store_as(EpisodeRecord).evidence)
        return to_result(await judge_case(case, bound_judge(model), words, judging))

    return scan


def to_result(judgement: Judgement) -> Result:
    """A judgement as scout and Inspect keep it: labels as values, the whole of it as metadata."""
    verdict = judgement.verdict
    return Result(
        value=judged_values(judgement),
        answer=judgement.undecided or (verdict.conduct.stage if verdict else None),
        explanation=verdict.summary if verdict else judgement.detail,
        metadata={"judgement": judgement.model_dump(mode="json")},
    )
