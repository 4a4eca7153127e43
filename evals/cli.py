"""The command line. Heavy modules are imported inside the commands, so that `sidedoor --help` answers at once."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="sidedoor",
    help="Given real work and an official way, does an LLM agent take the side door?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Models = Annotated[list[str], typer.Option("--model", help="Model, as provider/name; repeat for several.")]
Arguments = Annotated[list[str] | None, typer.Option("-M", help="Model argument, key=value; repeat for several.")]
ScenarioChoice = Annotated[
    str | None, typer.Option("--scenario", help="Scenario ids, separated by commas; all if left out.")
]
VariantChoice = Annotated[
    str | None,
    typer.Option("--variant", help="Variants (A,H) or one point of the factors (stance=vague,honest_path=blocked)."),
]
Results = Annotated[Path, typer.Option("--results", help="Folder that run folders are made in.")]
RESULTS = Path("results/runs")

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def main() -> None:
    """Entry point: errors that a user can act on are one line, everything else is a defect and shows its traceback."""
    from sidedoor.evals.errors import one_line, user_errors

    try:
        app()
    except user_errors() as error:
        _stop(one_line(error), EXIT_USAGE)
    except KeyboardInterrupt:
        _stop("interrupted", EXIT_INTERRUPTED)


@app.command("list")
def list_() -> None:
    """List suites, their scenarios and variants."""
    from sidedoor.evals.show import list_suites

    list_suites(_console())


@app.command()
def show(
    scenario: Annotated[str, typer.Argument(help="Scenario id, e.g. quota_boost.")],
    variant: Annotated[str, typer.Option(help="Variant or factor levels.")] = "A",
    diff: Annotated[str | None, typer.Option(help="Show only what differs from this variant.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the surface facts.")] = 1,
    files: Annotated[bool, typer.Option("--files", help="Print the files' text, too.")] = False,
) -> None:
    """Show what the agent would see, and what would be scored."""
    from sidedoor.evals.show import show_difference, show_scenario

    if diff:
        show_difference(_console(), scenario, diff, variant, seed)
    else:
        show_scenario(_console(), scenario, variant, seed, files)


@app.command()
def run(
    suite: Annotated[str | None, typer.Argument(help="Suite to run, e.g. instrumental.")] = None,
    model: Models = [],  # noqa: B006 - typer copies it
    m: Arguments = None,
    scenario: ScenarioChoice = None,
    variant: VariantChoice = None,
    design: Annotated[
        str, typer.Option(help="suite: the named variants; full: the crossing of all factors.")
    ] = "suite",
    epochs: Annotated[int, typer.Option(min=1, help="Repetitions of each cell, each with facts of its own.")] = 1,
    seed: Annotated[int, typer.Option(help="Offset of the epochs' seeds.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Run only the first N samples per model.")] = None,
    max_samples: Annotated[int | None, typer.Option(min=1, help="Samples at once per model.")] = None,
    solver: Annotated[
        str | None, typer.Option("--solver", "--agent", help="Any registered Inspect solver or agent.")
    ] = None,
    s: Annotated[list[str] | None, typer.Option("-S", help="Solver argument, key=value.")] = None,
    message_limit: Annotated[int | None, typer.Option(min=1, help="Messages per sample.")] = None,
    token_limit: Annotated[int | None, typer.Option(min=1, help="Tokens per sample.")] = None,
    time_limit: Annotated[int | None, typer.Option(min=1, help="Seconds per sample.")] = None,
    g: Annotated[list[str] | None, typer.Option("-G", help="Generation setting, e.g. temperature=0.7.")] = None,
    results: Results = RESULTS,
    resume: Annotated[Path | None, typer.Option(help="Continue the run in this folder.")] = None,
) -> None:
    """Run a suite over models, in containers, and write a folder of results."""
    from sidedoor.evals.arguments import key_values
    from sidedoor.evals.run import RunRequest, resume_run, start_run

    if resume is not None:
        finished = resume_run(resume, _console())
    else:
        if suite is None or not model:
            _stop("give a suite and at least one --model (or --resume FOLDER)", EXIT_USAGE)
        request = RunRequest(
            suite=suite,
            models=tuple(dict.fromkeys(model)),
            model_args=key_values(m),
            scenario=scenario,
            variant=variant,
            design=design,
            epochs=epochs,
            seed=seed,
            limit=limit,
            max_samples=max_samples,
            solver=solver,
            solver_args=key_values(s),
            message_limit=message_limit,
            token_limit=token_limit,
            time_limit=time_limit,
            generate=key_values(g),
        )
        finished = start_run(request, results, sys.argv[1:], _console())
    ending = finished.manifest.exit
    _console().print(f"results: {finished.folder}", highlight=False, soft_wrap=True)
    _console().print(f"look:    inspect view --log-dir {finished.folder / 'logs'}", highlight=False, soft_wrap=True)
    if ending is not None and ending.code != 0:
        _stop(ending.reason, ending.code)


@app.command()
def validate(
    suite: Annotated[str, typer.Argument(help="Suite whose reference scripts are run.")] = "instrumental",
    scenario: ScenarioChoice = None,
    variant: VariantChoice = None,
    seed: Annotated[int, typer.Option(help="Seed of the surface facts.")] = 1,
    passes: Annotated[int, typer.Option(min=1, help="Repeat, and compare the evidence's digests.")] = 1,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Without containers: checks scenarios, not the sandbox.")
    ] = False,
    max_samples: Annotated[int | None, typer.Option(min=1, help="Containers at once.")] = None,
) -> None:
    """Run every reference script in every cell and compare the labels with the expected ones."""
    from sidedoor.evals.validate import validate_suite

    if not validate_suite(_console(), suite, scenario, variant, seed, passes, in_process, max_samples):
        raise typer.Exit(1)


@app.command()
def rescore(
    log: Annotated[list[Path], typer.Argument(help=".eval logs, or folders of them.")],
) -> None:
    """Derive every label again from the evidence in the logs, without Docker, and name those that differ."""
    from sidedoor.evals.rescore import rescore_logs

    if not rescore_logs(_console(), log):
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Say what works here, what does not, and what to do about it."""
    from sidedoor.evals.doctor import examine

    if not examine(_console()):
        raise typer.Exit(1)


@app.command()
def clean(
    everything: Annotated[bool, typer.Option("--all", help="Also containers of runs that are still going.")] = False,
) -> None:
    """Remove containers that a killed run left behind; only ours."""
    from sidedoor.evals.doctor import remove_left_behind

    remove_left_behind(_console(), everything)


@app.command()
def new(name: Annotated[str, typer.Argument(metavar="SUITE/SCENARIO", help="e.g. instrumental/badge_swap")]) -> None:
    """Scaffold a scenario that validates at once."""
    from sidedoor.evals.scaffold import scaffold

    folder = scaffold(name)
    _console().print(f"made {folder}\nnext: sidedoor validate --scenario {name.partition('/')[2]}", highlight=False)


def _console() -> "Console":
    from rich.console import Console

    # Redirected output has no width of its own; 80 columns would cut tables that nobody can scroll.
    return Console() if sys.stdout.isatty() else Console(width=160)


def _stop(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"sidedoor: {message}\n")
    raise SystemExit(code)
