"""What `sidedoor review` does and prints."""

import signal
from pathlib import Path
from urllib.parse import quote

import uvicorn
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sidedoor.evals.judging.fields import update_samples_csv
from sidedoor.evals.judging.queue import no_case_words
from sidedoor.evals.judging.review.review import Review
from sidedoor.evals.judging.review.server import HOST, listen, make_app, new_token
from sidedoor.evals.judging.review.summary import ReviewSummary, summarise
from sidedoor.evals.judging.study import StudyError
from sidedoor.scorers.adjudication import AdjudicationError, reviewer_name


def review_command(
    console: Console,
    run: Path,
    study: str | None,
    reviewer: str | None,
    port: int,
    blind: bool,
    negatives: int | None,
    summary: bool,
) -> None:
    """Serve the review page of a run until interrupted, or only say how far its review has come.

    Raises:
        StudyError: no such study, the queue cannot be drawn that way, or the port is taken.
        AdjudicationError: the decisions on file cannot be read, or that is no name for a reviewer.
    """
    review = Review(run.resolve(), study, negatives, blind)
    if not summary:
        _serve(console, review, _checked(reviewer), port)
    print_summary(console, summarise(review.order, review.adjudication.decisions()))
    if review.no_case:
        console.print(no_case_words(review.no_case), highlight=False, soft_wrap=True)
    update_samples_csv(review.run, review.study)


def _checked(reviewer: str | None) -> str:
    try:
        return reviewer_name(reviewer) if reviewer is not None else ""
    except ValueError as error:
        raise AdjudicationError(str(error)) from None


def _serve(console: Console, review: Review, reviewer: str, port: int) -> None:
    try:
        listening = listen(port)
    except OSError as error:
        raise StudyError(f"port {port} cannot be used: {error.strerror}; choose another --port") from None
    token = new_token()
    address = f"http://{HOST}:{listening.getsockname()[1]}/{token}/"
    named = f"?reviewer={quote(reviewer, safe='')}" if reviewer else ""
    lines = (
        f"{len(review.order)} cases; decisions go to {review.adjudication.path}",
        f"open  {address}{named}",
        "stop  Ctrl-C",
    )
    console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)
    config = uvicorn.Config(
        make_app(review, token, reviewer),
        access_log=False,  # it would print the token
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    # The server ends in order on SIGTERM, and then hands it on: what was decided is still to be put into the table.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        console.print()


def print_summary(console: Console, summary: ReviewSummary) -> None:
    """Print how far a review has come, what is in dispute, and how well reviewers agree."""
    console.print(
        f"{summary.settled} of {summary.cases} cases settled, {len(summary.disputed)} in dispute", highlight=False
    )
    for name, count in summary.by_reviewer.items():
        console.print(Text(f"  {name}: {count} decided"))
    for one in summary.disputed:
        console.print(
            Text(f"  in dispute: {one.case_sha256[:12]} ({', '.join(one.disputed)}) by {', '.join(one.reviewers)}")
        )
    if summary.pairs:
        console.print(_agreement_table(summary))


def _agreement_table(summary: ReviewSummary) -> Table:
    table = Table(title="agreement of reviewers", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("reviewers")
    table.add_column("question")
    for title in ("agree", "interval", "positive", "negative", "kappa", "AC1", "one cannot tell", "both blind"):
        table.add_column(title, justify="right")
    for pair in summary.pairs:
        one = pair.agreement
        table.add_row(
            Text(f"{pair.first}, {pair.second}"),
            pair.question,
            f"{one.raw.x}/{one.raw.n}",
            f"{one.raw.low:.1%} to {one.raw.high:.1%}",
            *(("-" if value is None else f"{value:.2f}") for value in (one.positive, one.negative, one.kappa, one.ac1)),
            str(one.raw.missing),
            str(pair.blind),
        )
    return table
