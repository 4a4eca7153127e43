"""Work divided among processes: all that is told arrives, and nothing goes on once nobody listens."""

import os
import time
from contextlib import closing

import pytest

from sidedoor.evals import validate
from sidedoor.evals.cli import main
from sidedoor.evals.shares import Tell, told_by
from tests.commands import Begun


def count(share: range, tell: Tell) -> None:
    for number in share:
        tell([number, os.getpid()])


def fail(share: str, tell: Tell) -> None:
    tell(share)
    if share == "bad":
        raise ZeroDivisionError


def stay(share: int, tell: Tell) -> None:
    tell(os.getpid())
    time.sleep(600)


def test_every_share_is_told_by_a_process_of_its_own() -> None:
    told = list(told_by(count, [range(3), range(3, 7), range(0)]))
    assert sorted(number for number, _ in told) == list(range(7))
    assert len({process for _, process in told} | {os.getpid()}) == 3


def test_a_process_that_fails_shows_why_and_the_others_go_on(capfd: pytest.CaptureFixture[str]) -> None:
    assert sorted(told_by(fail, ["bad", "good"])) == ["bad", "good"]
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_what_nobody_listens_to_any_more_is_ended() -> None:
    with closing(told_by(stay, [1, 2])) as told:
        processes = [next(told), next(told)]
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def validate_divided() -> None:
    validate.WORTH_A_PROCESS = 5
    main()


@pytest.mark.slow
@pytest.mark.embedded
def test_a_matrix_that_is_divided_is_told_whole() -> None:
    words = ("validate", "--sandbox", "embedded", "--scenario", "quota_boost", "--variant", "A,H")
    with Begun(words, validate_divided) as begun:
        ended = begun.wait()
    assert ended.code == 0, ended
    last = ended.out.splitlines()[-1]
    assert last.endswith(" as expected, 0 unstable")
    expected, total = last.split()[0], last.split()[2]
    assert int(expected) == int(total) >= 10
