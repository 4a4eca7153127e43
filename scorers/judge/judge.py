"""One judge, one case: ask, check, object within bounds, and give a verdict or say why there is none.

Why the conversation is not inspect-scout's `llm_scanner`: that takes the first of several answers and ends once one
fits its form, while here two answers are none, and an answer must also rule on every rule, hold no contradiction and
quote only what stands in the transcript before it counts. Scout renders the messages and carries the judge as a scanner
(`sidedoor.scorers.judge.scanner`).

A judge that cannot be brought to a verdict leaves the case `undecided`, which is never clean and never a violation.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from inspect_ai.model import (
    ChatMessage,
    ChatMessageTool,
    ChatMessageUser,
    GenerateConfig,
    Model,
    ModelOutput,
    ModelUsage,
)
from inspect_ai.tool import ToolCall
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sidedoor.scorers.judge.case import Case
from sidedoor.scorers.judge.exhibit import Exhibit, make_exhibit
from sidedoor.scorers.judge.judgement import Judgement, Judging, Undecided, View
from sidedoor.scorers.judge.merge import merge
from sidedoor.scorers.judge.quotes import missing_quotes
from sidedoor.scorers.judge.rubric import TOOL, Rubric, answer_tool
from sidedoor.scorers.judge.verdict import Verdict, objections
from sidedoor.scorers.judge.views import has_reasoning

MOST_OBJECTIONS: Final = 12
TRANSPORT_RETRIES: Final = 6
"""Of a request that the provider answers with an error, or not in time; left to itself, Inspect tries for ever."""

MOST_TIMEOUTS: Final = 3
ERROR_LIMIT: Final = 300


@dataclass
class _Spent:
    attempts: int = 0
    usage: ModelUsage = field(default_factory=ModelUsage)

    def add(self, output: ModelOutput) -> None:
        if output.usage:
            self.usage += output.usage


class _NoVerdict(Exception):  # noqa: N818 - an outcome, not an error
    def __init__(self, reason: Undecided, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


async def judge_case(case: Case, judge: Model, rubric: Rubric, judging: Judging, repeat: int = 1) -> Judgement:
    """Put one case before one judge.

    Args:
        case: what to judge.
        judge: the model that judges.
        rubric: what it is asked.
        judging: how it is asked.
        repeat: which answer of this judge, from 1.
    """
    started, spent = time.monotonic(), _Spent()
    exhibit = make_exhibit(case, judging.view, judging.evidence, judging.part_characters)
    verdict, reason, detail = None, None, ""
    try:
        verdict = await _verdict(case, judge, rubric, judging, exhibit, spent)
    except _NoVerdict as none:
        reason, detail = none.reason, none.detail
    return Judgement(
        judge=str(judge),
        model=case.model,
        case_sha256=case.digest,
        rubric=rubric.id,
        rubric_sha256=rubric.digest,
        judging=judging,
        repeat=repeat,
        verdict=verdict,
        undecided=reason,
        detail=detail,
        reasoning=has_reasoning(case.messages),
        parts=len(exhibit.parts),
        attempts=spent.attempts,
        input_tokens=spent.usage.input_tokens,
        output_tokens=spent.usage.output_tokens,
        cost=spent.usage.total_cost,
        seconds=round(time.monotonic() - started, 3),
    )


async def _verdict(
    case: Case, judge: Model, rubric: Rubric, judging: Judging, exhibit: Exhibit, spent: _Spent
) -> Verdict:
    if judging.view is View.REASONING and not has_reasoning(case.messages):
        raise _NoVerdict("view_missing", "the transcript holds no reasoning that can be read")
    verdicts: list[Verdict] = []
    for part in range(len(exhibit.parts)):
        notes = [one.summary for one in verdicts]
        question = rubric.question(case, judging.view, exhibit, part, notes, own=judging.ownership == "told")
        verdicts.append(await _ask(case, judge, rubric, judging, exhibit, question, spent))
    return merge(verdicts)


async def _ask(
    case: Case,
    judge: Model,
    rubric: Rubric,
    judging: Judging,
    exhibit: Exhibit,
    question: list[ChatMessage],
    spent: _Spent,
) -> Verdict:
    conversation = list(question)
    failure = _NoVerdict("no_answer", "")
    for _ in range(judging.attempts):
        output = await _generate(judge, conversation, judging.timeout, spent)
        try:
            return _accepted(output, case, exhibit)
        except _Rejected as rejected:
            failure = _NoVerdict(rejected.reason, "; ".join(rejected.objections)[:ERROR_LIMIT])
            conversation += _reply(output, rubric.objection(rejected.objections[:MOST_OBJECTIONS]))
    raise failure


async def _generate(judge: Model, conversation: list[ChatMessage], timeout: int, spent: _Spent) -> ModelOutput:
    spent.attempts += 1
    config = GenerateConfig(
        attempt_timeout=timeout,
        timeout=MOST_TIMEOUTS * timeout,
        max_retries=TRANSPORT_RETRIES,
        parallel_tool_calls=False,
    )
    try:
        output = await judge.generate(conversation, tools=[answer_tool()], tool_choice="auto", config=config)
    except Exception as error:  # noqa: BLE001 - providers raise what they like; none of it is a verdict
        message = " ".join(f"{type(error).__name__}: {error}".split())
        raise _NoVerdict("unavailable", message[:ERROR_LIMIT]) from None
    spent.add(output)
    return output


class _Rejected(Exception):  # noqa: N818 - a step of the conversation, not an error
    def __init__(self, reason: Undecided, objections: Sequence[str]) -> None:
        super().__init__(reason)
        self.reason, self.objections = reason, objections


def _accepted(output: ModelOutput, case: Case, exhibit: Exhibit) -> Verdict:
    """The verdict in an answer.

    Raises:
        _Rejected: it holds none that counts.
    """
    try:
        verdict = Verdict.model_validate(_answer(output).arguments)
    except ValidationError as error:
        raise _Rejected("malformed", [_field_error(one) for one in error.errors()]) from None
    wrong = [*objections(verdict, [rule.id for rule in case.rules]), *missing_quotes(verdict, exhibit.texts())]
    if wrong:
        raise _Rejected("rejected", wrong)
    return verdict


def _answer(output: ModelOutput) -> ToolCall:
    calls = output.message.tool_calls or []
    answers = [call for call in calls if call.function == TOOL]
    if output.stop_reason == "content_filter":
        raise _Rejected("refusal", ["the answer was refused"])
    if len(answers) > 1:
        raise _Rejected("two_answers", [f"{TOOL} was called {len(answers)} times"])
    if not answers and output.stop_reason in ("max_tokens", "model_length"):
        raise _Rejected("cut_short", ["the answer was cut off before it was complete"])
    if not answers:
        raise _Rejected("no_answer", [f"{TOOL} was not called"])
    if answers[0].parse_error:
        raise _Rejected("malformed", [f"the arguments cannot be read: {answers[0].parse_error[:ERROR_LIMIT]}"])
    return answers[0]


def _field_error(error: ErrorDetails) -> str:
    """One of pydantic's errors without the input, which would put a hostile answer back into the conversation."""
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def _reply(output: ModelOutput, text: str) -> list[ChatMessage]:
    """The answer and the objection to it; the objection alone where the answer cannot be sent back."""
    calls = output.message.tool_calls or []
    if not all(map(_is_sendable, calls)):
        return [ChatMessageUser(content=text)]
    if not calls:
        return [output.message, ChatMessageUser(content=text)]
    results = [ChatMessageTool(content=text, tool_call_id=call.id, function=call.function) for call in calls]
    return [output.message, *results]


def _is_sendable(call: ToolCall) -> bool:
    """Whether the arguments can stand in a request: NaN, infinity and lone surrogates cannot."""
    try:
        json.dumps(call.arguments, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True
