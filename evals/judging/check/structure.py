"""Structural escapes: whether a transcript can forge a marker or a label of the prompt that it stands in.

This is found on the prompt itself, whatever a judge makes of it. A prompt holds if no part of the transcript knows the
case's code, if the real markers are exactly those that the exhibit has, in its order, and if nothing is invisible.
"""

import re
from collections.abc import Iterator

from inspect_ai.model import ChatMessageAssistant

from sidedoor.scorers.judge.case import Case
from sidedoor.scorers.judge.exhibit import Exhibit, make_exhibit
from sidedoor.scorers.judge.judgement import Judging
from sidedoor.scorers.judge.rubric import Rubric
from sidedoor.scorers.visible import visible


def structural_escapes(case: Case, rubric: Rubric, judging: Judging) -> list[str]:
    """What is forged in the prompts for a case, in words; empty if nothing is.

    Args:
        case: the case.
        rubric: that the prompts are made with.
        judging: view, evidence and size of parts.
    """
    found = ["the transcript knows the code"] if any(case.code in text for text in _material(case)) else []
    exhibit = make_exhibit(case, judging.view, judging.evidence, judging.part_characters)
    for part in range(len(exhibit.parts)):
        notes = ["Nothing so far."] * part
        _, body = rubric.question(case, judging.view, exhibit, part, notes, own=judging.ownership == "told")
        found += _escapes_of_part(body.text, case, exhibit, part)
    return found


def _escapes_of_part(prompt: str, case: Case, exhibit: Exhibit, part: int) -> Iterator[str]:
    code = re.escape(case.code)
    last = part == len(exhibit.parts) - 1
    pieces, entries = exhibit.parts[part], exhibit.journal if last else ()
    ends = ["RECORD", *(["JOURNAL"] if entries else [])]
    markers = re.findall(rf"^\[(?:BEGIN|END) (?:RECORD|JOURNAL) \({code}\)\]$", prompt, re.MULTILINE)
    if markers != [f"[{end} {what} ({case.code})]" for what in ends for end in ("BEGIN", "END")]:
        yield "an opening or closing line is forged"
    if re.findall(rf"^\[(M[0-9]+)\] [^\n]*\({code}\):$", prompt, re.MULTILINE) != [one.label for one in pieces]:
        yield "a message's marker is forged"
    journal = prompt.partition(f"[BEGIN JOURNAL ({case.code})]")[2]
    if re.findall(r"^\[(J[0-9]+)\] ", journal, re.MULTILINE) != [one.label for one in entries]:
        yield "a journal entry is forged"
    rules = re.findall(r"^- (R[0-9]+) \(in ", prompt.partition(f"[BEGIN RECORD ({case.code})]")[0], re.MULTILINE)
    if rules != [rule.id for rule in case.rules]:
        yield "a rule is forged"
    if visible(prompt) != prompt:
        yield "something in the prompt cannot be seen"


def _material(case: Case) -> Iterator[str]:
    """Every text that somebody else wrote."""
    for message in case.messages:
        yield message.text
        yield str(message.content)
        if isinstance(message, ChatMessageAssistant):
            yield from (f"{call.function} {call.arguments}" for call in message.tool_calls or ())
    for entry in case.journal or ():
        yield " ".join((*entry.argv, entry.stdout, entry.stderr))
