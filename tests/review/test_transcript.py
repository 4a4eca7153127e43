"""What a reviewer reads is all that there is, visible, with each mark where it belongs."""

from dataclasses import replace

import pytest
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageTool,
    ChatMessageUser,
    ContentImage,
    ContentReasoning,
    ContentText,
)
from inspect_ai.tool import ToolCall, ToolCallError

from sidedoor.evals.judging.review.passages import Passage
from sidedoor.evals.judging.review.transcript import (
    TEXT_BUDGET,
    Quote,
    Transcript,
    Turn,
    block_text,
    message_texts,
    read_transcript,
)
from sidedoor.scorers.findings import Finding
from sidedoor.scorers.judge.case import Case
from sidedoor.scorers.judge.exhibit import make_exhibit
from sidedoor.scorers.judge.judgement import Judging, View
from sidedoor.scorers.state import score_evidence
from tests.review.conftest import _rehearsed, cases_of, make_sample


def shortcut() -> tuple[Case, list[Finding]]:
    (case,) = cases_of([make_sample("A", "shortcut-colleague-account")])
    return case, list(score_evidence(_rehearsed("A", "shortcut-colleague-account", 1)[3].evidence).findings)


def text_of(turn: Turn) -> str:
    return "".join(part.text for block in turn.blocks for part in block.parts if isinstance(part, Passage))


def test_each_part_of_a_message_is_shown_and_says_what_it_is() -> None:
    call = ToolCall(id="1", function="bash", arguments={"command": "ls", "options": {"all": True}})
    said = [ContentReasoning(reasoning="Hm."), ContentText(text="I look."), ContentImage(image="data:,")]
    assert message_texts(ChatMessageAssistant(content=said, tool_calls=[call])) == [
        ("reasoning", "", "Hm."),
        ("text", "", "I look."),
        ("text", "", "(image, not shown)"),
        ("call", "bash · command", "ls"),
        ("call", "bash · options", '{\n "all": true\n}'),
    ]
    error = ToolCallError("timeout", "took too long")
    answer = ChatMessageTool(content="partly", function="bash", tool_call_id="1", error=error)
    assert message_texts(answer) == [("output", "bash", "partly"), ("error", "", "took too long")]
    nothing = ToolCall(id="2", function="done", arguments={})
    assert message_texts(ChatMessageAssistant(content="", tool_calls=[nothing])) == [("call", "done", "(no arguments)")]


def test_hidden_reasoning_is_said_to_be_hidden_and_its_summary_is_shown() -> None:
    hidden = ContentReasoning(reasoning="c2VjcmV0", redacted=True)
    assert message_texts(ChatMessageAssistant(content=[hidden])) == [
        ("reasoning", "summary", "(hidden by the provider)")
    ]
    summed = ContentReasoning(reasoning="c2VjcmV0", redacted=True, summary="It weighs.")
    assert message_texts(ChatMessageAssistant(content=[summed])) == [("reasoning", "summary", "It weighs.")]
    both = ContentReasoning(reasoning="I weigh it.", summary="It weighs.")
    assert message_texts(ChatMessageAssistant(content=[both])) == [("reasoning", "", "I weigh it.")]


def test_what_cannot_be_seen_becomes_a_sign() -> None:
    assert message_texts(ChatMessageUser(content="a\u202eb\x1b[0m")) == [("text", "", "a⟨U+202E⟩b␛[0m")]


def test_a_finding_is_marked_at_its_journal_entry_and_at_the_message_that_made_it() -> None:
    case, findings = shortcut()
    transcript = read_transcript(case, findings, [], Judging())
    (found,) = [one for one in findings if one.kind == "shortcut" and one.level == "achieved"]
    assert found.step is not None
    entry = transcript.journal[found.step - 1]
    assert found in entry.findings
    (message,) = [one for one in transcript.messages if one.anchor == entry.counterpart]
    assert found in message.findings
    assert entry.decisive
    assert message.decisive
    assert " ".join((case.journal or ())[found.step - 1].argv) in text_of(message)
    assert sum(one.decisive for one in transcript.messages) == 1


@pytest.mark.parametrize("view", list(View))
def test_labels_are_those_that_the_judges_had_and_what_they_did_not_see_has_none(view: View) -> None:
    case, _ = shortcut()
    exhibit = make_exhibit(case, view, True)
    shown = {piece.position: piece.label for part in exhibit.parts for piece in part}
    transcript = read_transcript(case, [], [], Judging(view=view))
    assert [one.labels for one in transcript.messages] == [
        (shown[at],) if at in shown else () for at in range(len(case.messages))
    ]


def test_a_message_that_judges_read_in_pieces_has_all_its_labels_and_quotes_of_each() -> None:
    case, _ = shortcut()
    long = ChatMessageUser(content="".join(f"line {number:05}\n" for number in range(4_000)))
    case = replace(case, messages=(case.messages[0], long, *case.messages[2:]))
    judging = Judging(part_characters=2_000)
    last = len(read_transcript(case, [], [], judging).messages[1].labels)
    assert last > 20
    quotes = [Quote("q1", f"M{last + 1}", "line 03999", "judge", "R1")]
    transcript = read_transcript(case, [], quotes, judging)
    assert transcript.messages[1].cited == tuple(quotes)
    assert "q1" in [begun for part in parts_of(transcript, 1) for begun in part.begins]


def parts_of(transcript: Transcript, at: int) -> list[Passage]:
    blocks = transcript.messages[at].blocks
    return [part for block in blocks for part in block.parts if isinstance(part, Passage)]


def test_a_quote_that_stands_in_no_single_text_leads_to_its_message() -> None:
    case, _ = shortcut()
    quotes = [Quote("q1", "M2", "these words stand nowhere", "judge", "R1"), Quote("q2", "J1", "jobctl", "judge", "R1")]
    anchors = read_transcript(case, [], quotes, Judging()).anchors
    assert anchors == {"q1": "m1", "q2": "q2"}


def test_every_text_can_be_asked_for_whole() -> None:
    case, _ = shortcut()
    transcript = read_transcript(case, [], [], Judging())
    for turn in (*transcript.messages, *transcript.journal):
        for block in turn.blocks:
            assert block_text(case, block.key).startswith(block.parts[0].text if block.parts else "")
    with pytest.raises(IndexError):
        block_text(case, "M999.0")


def test_a_case_of_many_long_messages_stays_within_its_budget() -> None:
    case, _ = shortcut()
    many = tuple(ChatMessageAssistant(content="0123456789" * 1_000) for _ in range(2_000))
    transcript = read_transcript(replace(case, messages=many), [], [], Judging())
    assert sum(len(text_of(turn)) for turn in transcript.messages) <= TEXT_BUDGET
