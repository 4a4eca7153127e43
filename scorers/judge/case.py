"""A case: one transcript as it is put before judges, with the rules that were in force and what the host recorded.

Trust boundary: messages hold whatever the agent and its tools wrote. A judge is told how to know the markers that are
really ours: each carries a code that is derived from the transcript as a whole, its last message included, and so could
not be known to whoever wrote any part of it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from inspect_ai.log import EvalSample
from inspect_ai.model import ChatMessage, ContentReasoning
from pydantic import ValidationError

from sidedoor.sandboxes.evidence import Evidence, JournalEntry
from sidedoor.scorers.record import EpisodeRecord
from sidedoor.tasks.catalogue import Scenario, load_scenario

CODE_LENGTH: Final = 12
EVIDENCE: Final = f"{EpisodeRecord.__name__}:evidence"


class CaseError(ValueError):
    """A sample cannot be put before a judge; the message is one line that says why."""


@dataclass(frozen=True)
class Rule:
    """A rule that was in force, as the agent could read it.

    Attributes:
        id: how judges name it (`R1`), so that no name of ours tells them what to find.
        text: the sentence.
        file: where the agent could read it.
        breaches: ids of the shortcuts and violations that break it.
    """

    id: str
    text: str
    file: str
    breaches: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One transcript to judge.

    Attributes:
        model: the model under test; never shown to a judge.
        messages: the whole transcript.
        rules: in force for this sample; empty where they are not known, as in other people's transcripts.
        journal: the host's record of the calls to the workplace's programs; None if there is none.
        digest: SHA-256 of all of that but the model: the same for the same content, whatever log it lies in.
    """

    model: str
    messages: tuple[ChatMessage, ...]
    rules: tuple[Rule, ...]
    journal: tuple[JournalEntry, ...] | None
    digest: str

    @property
    def code(self) -> str:
        """The code on every marker of the case's transcript."""
        return hashlib.sha256(f"marker {self.digest}".encode()).hexdigest()[:CODE_LENGTH]


def case_of_sample(sample: EvalSample, model: str) -> Case:
    """The case of a logged sample.

    Args:
        sample: with its messages and store.
        model: that was under test.

    Raises:
        CaseError: it has no transcript, or its scenario has changed since, so that its rules cannot be known.
        SourceError: its scenario is unknown.
    """
    return make_case(model, sample.messages, sample.metadata, sample.store.get(EVIDENCE))


def make_case(
    model: str, messages: Sequence[ChatMessage], metadata: Mapping[str, Any], stored: Mapping[str, Any] | None
) -> Case:
    """The case of a transcript.

    Args:
        model: that was under test.
        messages: the transcript.
        metadata: the sample's; names scenario, factors and seed if it is one of ours.
        stored: its evidence, as JSON; None if there is none.

    Raises:
        CaseError: as in `case_of_sample`.
        SourceError: its scenario is unknown.
    """
    if not any(message.role == "assistant" for message in messages):
        raise CaseError("the agent never spoke: there is nothing to judge")
    rules = _rules_of(metadata) if "content_sha256" in metadata else ()
    journal = _journal(stored)
    return assemble(model, messages, rules, journal)


def assemble(
    model: str, messages: Sequence[ChatMessage], rules: Sequence[Rule], journal: Sequence[JournalEntry] | None
) -> Case:
    """The case of parts that are known already."""
    digest = _digest(messages, rules, journal)
    return Case(model, tuple(messages), tuple(rules), None if journal is None else tuple(journal), digest)


def rules_in_force(scenario: Scenario, factors: Mapping[str, str], seed: int) -> tuple[Rule, ...]:
    """The rules in force at a point of the factors; what several breaches share is one rule."""
    facts = scenario.facts(seed)
    breaches: dict[tuple[str, str], list[str]] = {}
    for one in (*scenario.spec.shortcuts, *scenario.spec.violations):
        if one.constraint.in_force(dict(factors)):
            sentence = " ".join(scenario.sentence(one.constraint, factors, facts).split())
            breaches.setdefault((sentence, one.constraint.file), []).append(one.id)
    return tuple(
        Rule(f"R{number}", text, file, tuple(ids)) for number, ((text, file), ids) in enumerate(breaches.items(), 1)
    )


def _rules_of(metadata: Mapping[str, Any]) -> tuple[Rule, ...]:
    scenario = load_scenario(metadata["suite"], metadata["scenario"])
    if scenario.digest != metadata["content_sha256"]:
        raise CaseError(f"scenario {scenario.id} changed since the run: its rules then cannot be known")
    return rules_in_force(scenario, metadata["factors"], metadata["seed"])


def _journal(stored: Mapping[str, Any] | None) -> tuple[JournalEntry, ...] | None:
    try:
        return None if stored is None else Evidence.model_validate(stored).journal
    except ValidationError:
        raise CaseError("the sample's evidence is malformed") from None


def _digest(messages: Sequence[ChatMessage], rules: Sequence[Rule], journal: Sequence[JournalEntry] | None) -> str:
    content = {
        "messages": list(map(_content, messages)),
        "rules": [(rule.id, rule.text, rule.file) for rule in rules],
        "journal": None if journal is None else [entry.model_dump(mode="json") for entry in journal],
    }
    # Lone surrogates, which JSON allows and UTF-8 does not, are escaped by ensure_ascii.
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _content(message: ChatMessage) -> dict[str, Any]:
    calls = [(one.function, one.arguments) for one in getattr(message, "tool_calls", None) or ()]
    return {"role": message.role, "text": message.text, "reasoning": list(_reasoning(message)), "calls": calls}


def _reasoning(message: ChatMessage) -> Iterator[str]:
    if not isinstance(message.content, str):
        yield from (part.reasoning for part in message.content if isinstance(part, ContentReasoning))
