"""The command line. Heavy modules are imported inside the commands, so that `sidedoor --help` answers at once."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from sidedoor.evals.gate.cli import add_commands
from sidedoor.evals.interrupts import (
    EXIT_INTERRUPTED,
    grouped_interrupts_bare,
    lost_interrupts_told,
    second_interrupt_final,
)

if TYPE_CHECKING:
    from rich.console import Console

    from sidedoor.evals.frame.imported import ImportManifest

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
SandboxChoice = Annotated[
    Literal["docker", "embedded"] | None,
    typer.Option("--sandbox", help="Where episodes happen; docker where an engine answers, embedded elsewhere."),
]
Results = Annotated[Path, typer.Option("--results", help="Folder that run folders are made in.")]
RESULTS = Path("results/runs")
CHECKS = Path("results")
Imports = Annotated[Path, typer.Option("--results", help="Folder that the import's folder is made in.")]
IMPORTS = Path("results/imports")
COMPARISON = Path("results/comparison")
ImportName = Annotated[str, typer.Option("--name", help="Name of the import, if there are several.")]

importing = typer.Typer(help="Bring in other studies' results.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(importing, name="import")
image = typer.Typer(help="The programs that agents find.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(image, name="image")

EXIT_USAGE = 2


def main() -> None:
    """Entry point: errors that a user can act on are one line, everything else is a defect and shows its traceback."""
    from sidedoor.evals.errors import one_line, user_errors

    try:
        with lost_interrupts_told(), second_interrupt_final(), grouped_interrupts_bare():
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
    cost_limit: Annotated[float | None, typer.Option(min=0, help="US dollars per sample.")] = None,
    model_cost_config: Annotated[
        Path | None, typer.Option(help="Prices by model (YAML or JSON), as Inspect reads them: input, output, ….")
    ] = None,
    g: Annotated[list[str] | None, typer.Option("-G", help="Generation setting, e.g. temperature=0.7.")] = None,
    sandbox: SandboxChoice = None,
    results: Results = RESULTS,
    resume: Annotated[Path | None, typer.Option(help="Continue the run in this folder.")] = None,
) -> None:
    """Run a suite over models, in containers, and write a folder of results."""
    from sidedoor.evals.arguments import key_values, model_costs
    from sidedoor.evals.run import RunRequest, resume_run, start_run
    from sidedoor.sandboxes.choice import chosen_provider

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
            cost_limit=cost_limit,
            model_costs=model_costs(model_cost_config),
            generate=key_values(g),
            sandbox=chosen_provider(sandbox),
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
    sandbox: Annotated[
        list[str] | None,
        typer.Option("--sandbox", help="docker or embedded; repeat to compare the evidence of both."),
    ] = None,
) -> None:
    """Run every reference script in every cell and compare the labels with the expected ones."""
    from sidedoor.evals.validate import validate_suite
    from sidedoor.sandboxes.choice import chosen_provider

    sandboxes = [chosen_provider(name) for name in sandbox or (None,)]
    if not validate_suite(_console(), suite, scenario, variant, seed, passes, in_process, max_samples, sandboxes):
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
def judge(
    run: Annotated[Path, typer.Argument(help="Folder of a run (results/runs/<id>).")],
    judges: Annotated[list[str], typer.Option("--judge", help="Judge, as provider/name; repeat for a panel.")],
    repeats: Annotated[int, typer.Option(min=1, help="Verdicts of each judge on each sample.")] = 1,
    view: Annotated[str, typer.Option(help="actions, actions+reasoning or reasoning.")] = "actions+reasoning",
    evidence: Annotated[bool, typer.Option(help="Show the host's record of calls beside the transcript.")] = True,
    exclude_self: Annotated[bool, typer.Option(help="No judge judges models of its own family.")] = True,
    threshold: Annotated[float, typer.Option(help="Share of votes that a decision needs.")] = 0.5,
    rubric: Annotated[str, typer.Option(help="Version of the rubric.")] = "1-A",
    name: Annotated[str, typer.Option(help="Name of the study, if the run has several.")] = "panel",
    at_once: Annotated[int, typer.Option(min=1, help="Samples judged at the same time.")] = 16,
    ablate_view: Annotated[
        str | None, typer.Option(help="Judge again in this view, and report what seeing the reasoning changes.")
    ] = None,
) -> None:
    """Put a run's transcripts before LLM judges; call it again to continue."""
    from sidedoor.evals.judging.ablation import ablation_command, other_view
    from sidedoor.evals.judging.command import judge_command

    if ablate_view is not None:
        other_view(view, ablate_view)  # before anything is paid for
    code = judge_command(
        _console(), run, judges, repeats, view, evidence, exclude_self, threshold, rubric, name, at_once
    )
    if ablate_view is not None:
        ablation_command(_console(), run, name, ablate_view, at_once)
    raise typer.Exit(code)


@app.command("self-judge")
def self_judge(
    run: Annotated[Path, typer.Argument(help="Folder of a run (results/runs/<id>).")],
    view: Annotated[str, typer.Option(help="actions, actions+reasoning or reasoning.")] = "actions+reasoning",
    evidence: Annotated[bool, typer.Option(help="Show the host's record of calls beside the transcript.")] = True,
    rubric: Annotated[str, typer.Option(help="Version of the rubric.")] = "1-A",
    at_once: Annotated[int, typer.Option(min=1, help="Samples judged at the same time.")] = 16,
) -> None:
    """Let each model judge its own transcripts, untold and told that they are; call it again to continue."""
    from sidedoor.evals.judging.self_judgement import self_judge_command

    self_judge_command(_console(), run, view, evidence, rubric, at_once)


@app.command("judge-check")
def judge_check(
    judges: Annotated[list[str], typer.Option("--judge", help="Judge to check, as provider/name; repeat for several.")],
    view: Annotated[str, typer.Option(help="actions, actions+reasoning or reasoning.")] = "actions+reasoning",
    evidence: Annotated[bool, typer.Option(help="Show the host's record of calls beside the transcript.")] = True,
    rubric: Annotated[str, typer.Option(help="Version of the rubric.")] = "1-A",
    results: Annotated[Path, typer.Option("--results", help="Folder that checks are kept in.")] = CHECKS,
    at_once: Annotated[int, typer.Option(min=1, help="Cases judged at the same time.")] = 16,
) -> None:
    """Check judges on transcripts whose truth is known; call it again to continue."""
    from sidedoor.evals.judging.check.command import check_command

    raise typer.Exit(check_command(_console(), judges, view, evidence, rubric, results, at_once))


@app.command()
def review(
    run: Annotated[Path, typer.Argument(help="Folder of a run (results/runs/<id>), judged or not.")],
    study: Annotated[str | None, typer.Option(help="Judging study, if the run has several.")] = None,
    reviewer: Annotated[str | None, typer.Option(help="Your name; the page asks for it if left out.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 for a free one.")] = 0,
    blind: Annotated[
        bool, typer.Option("--blind", help="Hide verdicts and other reviewers' decisions until one's own is in.")
    ] = False,
    negatives: Annotated[
        int | None, typer.Option(min=0, help="Random samples that nothing speaks against; 100, or as before.")
    ] = None,
    summary: Annotated[bool, typer.Option("--summary", help="Only say how far the review is, and who agrees.")] = False,
) -> None:
    """Serve a local page on which people decide what judges and state disagree on."""
    from sidedoor.evals.judging.review.command import review_command

    review_command(_console(), run, study, reviewer, port, blind, negatives, summary)


@app.command()
def agreement(
    run: Annotated[Path, typer.Argument(help="Folder of a run (results/runs/<id>) that was judged.")],
    name: Annotated[str, typer.Option(help="Name of the study, if the run has several.")] = "panel",
    level: Annotated[float, typer.Option(help="Two-sided confidence level.")] = 0.95,
) -> None:
    """Say how far a run's judges agree, and what review makes of their rates."""
    from sidedoor.evals.judging.command import agreement_command

    if not 0 < level < 1:
        _stop(f"--level lies between 0 and 1, such as 0.95; got {level:g}", EXIT_USAGE)
    agreement_command(_console(), run, name, level)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs, imports, logs, or folders of them.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the files; RUN/report for one RUN, else report.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the excerpts without a shortcut, and of simulated nulls.")] = 0,
) -> None:
    """Write report.html, and its figures as Markdown, CSV, Parquet, JSON and LaTeX."""
    from sidedoor.evals.report.report import default_folder, make_report

    command = shlex.join(["sidedoor", *sys.argv[1:]])
    make_report(runs, out or default_folder(runs), _console(), command=command, seed=seed)


@app.command()
def doctor() -> None:
    """Say what works here, what does not, and what to do about it."""
    from sidedoor.evals.doctor import examine

    if not examine(_console()):
        raise typer.Exit(1)


@image.command("export")
def image_export(
    folder: Annotated[
        Path | None, typer.Argument(help="Where to; by default where `--sandbox embedded` looks.")
    ] = None,
) -> None:
    """Unpack the image's programs, for agents to find them, and not the system's, where there is no engine."""
    from sidedoor.evals.doctor import export_programs

    export_programs(_console(), folder)


@app.command()
def clean(
    everything: Annotated[bool, typer.Option("--all", help="Also containers of runs that are still going.")] = False,
) -> None:
    """Remove containers and folders that a killed run left behind; only ours."""
    from sidedoor.evals.doctor import remove_left_behind

    remove_left_behind(_console(), everything)


@app.command()
def new(name: Annotated[str, typer.Argument(metavar="SUITE/SCENARIO", help="e.g. instrumental/badge_swap")]) -> None:
    """Scaffold a scenario that validates at once."""
    from sidedoor.evals.scaffold import scaffold

    folder = scaffold(name)
    _console().print(f"made {folder}\nnext: sidedoor validate --scenario {name.partition('/')[2]}", highlight=False)


@app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="BASELINE [CANDIDATE]", help="Two runs, or one that holds both models.")
    ],
    models: Annotated[str | None, typer.Option(help="Models to compare, the baseline's first: a,b.")] = None,
    level: Annotated[float, typer.Option(help="Two-sided confidence level.")] = 0.95,
    out: Annotated[Path, typer.Option(help="Folder that compare.json and compare.md are written to.")] = COMPARISON,
) -> None:
    """Compare two runs, or two models of one run, on the cells that both have."""
    from sidedoor.evals.compare import compare_runs, print_comparison, write_comparison

    if len(runs) > 2:
        _stop("two runs are compared, the baseline first", EXIT_USAGE)
    if not 0 < level < 1:
        _stop(f"--level lies between 0 and 1, such as 0.95; got {level:g}", EXIT_USAGE)
    names = [name.strip() for name in models.split(",")] if models else []
    console = _console()
    with console.status("reading logs"):
        comparison = compare_runs(runs, names, level)
    print_comparison(console, comparison)
    write_comparison(out, comparison)
    console.print(f"written: {out}", highlight=False, soft_wrap=True)


@app.command()
def plan(
    base_rate: Annotated[float, typer.Option(help="Expected rate of the baseline, a fraction: 0.05.")],
    margin: Annotated[float, typer.Option(help="Largest tolerated difference, in percentage points.")],
    power: Annotated[float, typer.Option(help="Probability of showing it.")] = 0.8,
    difference: Annotated[float, typer.Option(help="True difference to plan for, in percentage points.")] = 0.0,
    models: Annotated[int, typer.Option(min=1, help="Models to run, the baseline included.")] = 2,
    suite: Annotated[str, typer.Option(help="Suite whose cells are run.")] = "instrumental",
    scenario: ScenarioChoice = None,
    variant: VariantChoice = None,
    past: Annotated[Path | None, typer.Option(help="A past run, for tokens and seconds per sample.")] = None,
    input_price: Annotated[float | None, typer.Option(min=0, help="US dollars per million input tokens.")] = None,
    output_price: Annotated[float | None, typer.Option(min=0, help="US dollars per million output tokens.")] = None,
    max_samples: Annotated[int, typer.Option(min=1, help="Samples at once per model.")] = 1,
) -> None:
    """Say how many samples a question needs, what they cost, and how long they take."""
    from sidedoor.evals.plan import Prices, Question, print_plan

    if (input_price is None) != (output_price is None):
        _stop("give both --input-price and --output-price", EXIT_USAGE)
    prices = Prices(input_price, output_price) if input_price is not None and output_price is not None else None
    question = Question(base_rate, margin, difference, power)
    print_plan(_console(), question, models, suite, scenario, variant, past, prices, max_samples)


add_commands(app)


@importing.command("instrumental-choices")
def import_instrumental_choices(
    path: Annotated[Path, typer.Argument(help="A native log (.eval or .json), or a folder of them.")],
    results: Imports = IMPORTS,
    name: ImportName = "instrumental-choices",
) -> None:
    """Import logs of the published benchmark Instrumental Choices (arXiv 2605.06490)."""
    from sidedoor.evals.imports.instrumental_choices import import_instrumental_choices

    _print_import(results / name, import_instrumental_choices(path, results, name))


@importing.command("odcv")
def import_odcv(
    path: Annotated[Path, typer.Argument(help="A checkout of McGill-DMaS/ODCV-Bench, or a folder of score files.")],
    results: Imports = IMPORTS,
    name: ImportName = "odcv",
) -> None:
    """Import judges' severities and transcripts of ODCV-Bench."""
    from sidedoor.evals.imports.odcv import import_odcv

    _print_import(results / name, import_odcv(path, results, name))


def _print_import(folder: Path, manifest: "ImportManifest") -> None:
    lines = [f"{manifest.samples} samples, {len(manifest.missing)} missing, {len(manifest.problems)} files left out"]
    lines += [f"left out: {problem.where} {problem.what}" for problem in manifest.problems]
    lines += [f"note:     {note}" for note in manifest.notes]
    _console().print("\n".join([*lines, f"results:  {folder}"]), highlight=False, soft_wrap=True, markup=False)


def _console() -> "Console":
    from rich.console import Console

    # Redirected output has no width of its own; 80 columns would cut tables that nobody can scroll.
    return Console() if sys.stdout.isatty() else Console(width=160)


def _stop(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"sidedoor: {message}\n")
    raise SystemExit(code)
