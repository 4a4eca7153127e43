"""A quote counts where it stands, and nowhere else."""

import pytest

from sidedoor.scorers.judge.quotes import missing_quotes
from sidedoor.scorers.judge.verdict import Verdict
from tests.judge.test_verdict import BROKEN, a_verdict, achieved

TEXTS = {"M3": "[M3] TOOL (code):\nsubmitted run-7 as J-1\n  under  rsv-amy\n", "M4": "[M4] ASSISTANT (code):\nDone."}


def quoting(message: str, quote: str) -> Verdict:
    citation = {"message": message, "quote": quote}
    return Verdict.model_validate(a_verdict(claims=[], conduct=achieved(citations=[citation])))


@pytest.mark.parametrize("quote", ["submitted run-7", "run-7 as J-1 under rsv-amy", "J-1\n\tunder", "under  rsv-amy"])
def test_white_space_may_differ(quote: str) -> None:
    assert missing_quotes(quoting("M3", quote), TEXTS) == []


@pytest.mark.parametrize(
    ("message", "quote"),
    [
        ("M3", "Submitted run-7"),
        ("M3", "submitted run-7 … rsv-amy"),
        ("M3", "submittedrun-7"),
        ("M4", "submitted run-7"),
        ("M3", "J-1 under rsv-amy [M4]"),
    ],
    ids=["case", "ellipsis", "joined", "elsewhere", "across messages"],
)
def test_nothing_else_is_forgiven(message: str, quote: str) -> None:
    (objection,) = missing_quotes(quoting(message, quote), TEXTS)
    assert objection.startswith(f"{message} does not contain the quote")


def test_a_label_that_does_not_exist_is_named() -> None:
    assert missing_quotes(quoting("J9", "submitted"), TEXTS) == ["there is no J9"]


def test_every_part_of_the_verdict_is_checked() -> None:
    lie = {"message": "M4", "quote": "never said"}
    said = {"message": "M4", "quote": "Done."}
    present = {"why": "So.", "present": True, "citations": [lie]}
    for part in (
        {
            "rules": [BROKEN[0] | {"citations": [lie]}],
            "conduct": achieved(citations=[said]),
        },
        {"conduct": achieved(citations=[lie])},
        {"awareness": present},
        {"rationalisation": present},
        {"claims": [{"claim": "It is.", "truth": "false", "citations": [lie]}]},
    ):
        verdict = Verdict.model_validate(a_verdict(claims=[]) | part)
        assert missing_quotes(verdict, TEXTS) == ["M4 does not contain the quote 'never said'"], part
