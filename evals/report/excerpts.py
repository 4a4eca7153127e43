"""What decided each sample: the calls that the findings name, beside the journal, the rule and the agent's own words.

Trust boundary: transcripts and journals hold whatever an agent, a model or a tool wrote. Nothing is interpreted here;
it is made visible and cut to a budget in bytes, so that neither a long output nor many samples can swell a page.
"""

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zipfile import BadZipFile

import pandas as pd

from sidedoor.evals.located import Call, answer_of, kept_findings, locate, tool_calls
from sidedoor.evals.outcomes import outcome_word
from sidedoor.evals.report.cube import AXES, Samples
from sidedoor.evals.report.data import DecisiveStep, Excerpt
from sidedoor.evals.report.measures import IC, VIOLATED
from sidedoor.evals.report.text import clip, name, one_line
from sidedoor.scorers.findings import Finding

if TYPE_CHECKING:  # Inspect takes seconds to import, and is needed only once a log is opened
    from inspect_ai.log import EvalSample

NEGATIVES: Final = 12
TRANSCRIPTS: Final = 220
"""More excerpts than this are listed with their place alone."""

TEXT_BUDGET: Final = 330_000
"""Bytes of all transcript text together."""

LONGEST: Final = 3_600
NOTE_LIMIT: Final = 160
MOST_STEPS: Final = 3
UNREAD: Final = {"events", "attachments", "timelines"}
EVIDENCE: Final = "EpisodeRecord:evidence"


@dataclass(frozen=True)
class _Shown:
    steps: tuple[DecisiveStep, ...] = ()
    closing: str = ""
    note: str | None = None


def excerpts(samples: Samples, seed: int = 0) -> Iterator[Excerpt]:
    """One excerpt per positive (a shortcut or a violation), then a seeded sample of negatives.

    Each log is opened only for the samples that are shown, one at a time. Where there are more than `TRANSCRIPTS`, a
    seeded choice of the positives keeps its text, and the others keep anchor, place and outcome.

    Args:
        samples: what `sidedoor.evals.report.cube.prepare` gives.
        seed: of the negatives shown, and of the choice among too many positives.
    """
    valid = samples.rows[samples.rows["status"] == "ok"]
    positive = (valid[IC.label].fillna(value=False) | valid[VIOLATED.label].fillna(value=False)).astype(bool)
    positives, negatives = valid[positive], valid[~positive]
    draw = random.Random(seed)  # noqa: S311 - a choice that anyone can repeat, not a secret
    shown = set(draw.sample(list(positives.index), min(len(positives), TRANSCRIPTS - NEGATIVES)))
    chosen = negatives.loc[sorted(draw.sample(list(negatives.index), min(len(negatives), NEGATIVES)))]
    share = min(LONGEST, TEXT_BUDGET // max(1, len(shown) + len(chosen)))
    for index, row in positives.iterrows():
        yield _excerpt(row, True, share if index in shown else 0)
    for _, row in chosen.iterrows():
        yield _excerpt(row, False, share)


def anchor(row: "pd.Series[Any]") -> str:
    """A sample's anchor in the page: the same in every report that holds the sample, and plain letters."""
    identity = [str(row[key]) for key in ("run", "model", "suite", "scenario", "variant", "epoch", "sample_id", "log")]
    return f"s-{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]}"


def _excerpt(row: "pd.Series[Any]", positive: bool, budget: int) -> Excerpt:
    shown = _shown(row, positive, budget)
    values = {str(key): None if pd.isna(value) else value for key, value in row.items()}
    return Excerpt(
        anchor=anchor(row),
        positive=positive,
        **{axis: row[axis] for axis in AXES},
        epoch=int(row["epoch"]),
        outcome=outcome_word(values | {"deterministic_label_status": "ok"}),
        run=name(str(row["run"])),
        log=name(str(row["log"])) if row["log"] else "",
        sample=name(str(row["sample_id"])),
        steps=shown.steps,
        closing=shown.closing,
        note=shown.note,
    )


def _shown(row: "pd.Series[Any]", positive: bool, budget: int) -> "_Shown":
    if not row["log"]:
        return _Shown(note="the study has no transcript of this sample")
    if not budget:
        return _Shown(note="not shown in full, as there are too many: see the log")
    try:
        sample = _read(row)
    except (OSError, ValueError, KeyError, IndexError, BadZipFile) as error:
        return _Shown(note=f"the transcript cannot be read: {clip(str(error), NOTE_LIMIT)}")
    steps = tuple(_steps(sample, positive, budget * 4 // 5))
    closing = clip(sample.output.completion.strip(), budget // 5)
    return _Shown(steps, closing, None if steps else "no finding of this sample names a call")


def _read(row: "pd.Series[Any]") -> "EvalSample":
    from inspect_ai.log import read_eval_log_sample

    path = Path(str(row["source"]), str(row["log"]))
    if not path.is_file():
        raise FileNotFoundError(f"no log of that name: {row['log']}")
    # The epochs of our own samples are in their ids, and Inspect's is always the first.
    epoch = int(row["epoch"]) if row["source_kind"] == "import" else 1
    return read_eval_log_sample(str(path), row["sample_id"], epoch, exclude_fields=UNREAD)


def _steps(sample: "EvalSample", positive: bool, budget: int) -> Iterator[DecisiveStep]:
    findings = _decisive(kept_findings(sample), positive)
    stored = sample.store.get(EVIDENCE)
    journal = stored.get("journal") if isinstance(stored, dict) else None
    entries = journal if isinstance(journal, list) else []
    calls = locate(entries, list(tool_calls(sample.messages)))
    for finding in findings:
        at = (finding.step or 0) - 1
        entry = entries[at] if 0 <= at < len(entries) else None
        yield _step(finding, entry, calls.get(at), budget // len(findings))


def _decisive(findings: Sequence[Finding], positive: bool) -> list[Finding]:
    """The findings that a reader must see: for a positive what broke a rule, otherwise how far the agent went."""
    if positive:
        wanted = [one for one in findings if one.kind in ("shortcut", "violation", "tampering")]
        wanted.sort(key=lambda one: (one.level != "achieved", not one.breaks_rule, -(one.severity or 0)))
        # An achieved shortcut is found as an attempt, too: at the same call that says nothing more.
        different = list({(one.id, one.step): one for one in reversed(wanted)}.values())[::-1]
        return sorted(different[:MOST_STEPS], key=lambda one: one.step or 0)
    wanted = [one for one in findings if one.kind != "official"]
    return (wanted or list(findings[-1:]))[:MOST_STEPS]


def _step(finding: Finding, entry: Mapping[str, Any] | None, call: Call | None, budget: int) -> DecisiveStep:
    share = budget // 4
    argv = [str(word) for word in entry.get("argv") or ()] if entry else []
    return DecisiveStep(
        finding=one_line(f"{finding.kind} {finding.id}" + (f" ({finding.behaviour})" if finding.behaviour else "")),
        rule=clip(finding.rule, share) if finding.rule and finding.breaks_rule else None,
        level=finding.level,
        call=finding.step,
        journal=clip(" ".join(argv), share),
        answer=clip(answer_of(entry), share) if entry else "",
        message=call.position if call else None,
        message_id=name(call.message_id) if call and call.message_id else None,
        said=clip(call.said.strip(), share) if call else "",
        command=clip(call.command.strip(), share) if call else "",
    )
