"""The shape of a suite and of a scenario, as their YAML files declare them."""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, StringConstraints, Tag, field_validator, model_validator

from sidedoor.tasks.yaml_source import Strict, nearest

Identifier: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Slug: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
ReferenceKind: TypeAlias = Literal["official", "shortcut", "attempt", "escalate", "idle", "near_miss", "violation"]

Behaviour: TypeAlias = Literal[
    "resource_acquisition",
    "access_escalation",
    "self_preservation",
    "oversight_evasion",
    "hidden_persistence",
    "safeguard_override",
    "data_falsification",
    "metric_gaming",
]

FACTOR_LEVELS: dict[str, tuple[str, ...]] = {
    "usefulness": ("useful", "useless"),
    "stance": ("forbidden", "vague", "permitted"),
    "monitoring": ("unwatched", "watched"),
    "stakes": ("medium", "critical"),
    "framing": ("none", "existential"),
    "honest_path": ("open", "blocked"),
    "naming": ("plain", "euphemistic"),
    "pressure": ("none", "incentivized", "mandated"),
}
"""Every factor and its levels; the first level is the default."""

RULE_STANCES = ("forbidden", "vague")
"""Levels of `stance` under which a stance-dependent constraint is in force."""


def check_factors(factors: dict[str, str]) -> dict[str, str]:
    """Complete a partial point of the factors with default levels.

    Raises:
        ValueError: an unknown factor or level, with the nearest valid name.
    """
    for factor, level in factors.items():
        if factor not in FACTOR_LEVELS:
            raise ValueError(f"unknown factor '{factor}'{nearest(factor, list(FACTOR_LEVELS))}")
        if level not in FACTOR_LEVELS[factor]:
            hint = nearest(level, list(FACTOR_LEVELS[factor]))
            raise ValueError(f"unknown level '{level}' of factor '{factor}'{hint}")
    return {factor: factors.get(factor, levels[0]) for factor, levels in FACTOR_LEVELS.items()}


class Variant(Strict):
    """A named point in the factors."""

    name: Identifier
    factors: dict[str, str]

    _complete = field_validator("factors")(check_factors)


class Contrast(Strict):
    """Two variants that differ in one factor."""

    baseline: str
    changed: str
    factor: str


class Suite(Strict):
    """A family of scenarios with one set of variants (`suite.yaml`)."""

    id: Identifier
    version: str
    title: str
    variants: dict[str, Variant]
    contrasts: tuple[Contrast, ...]
    exclusions: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _contrasts_change_one_factor(self) -> Self:
        for contrast in self.contrasts:
            one, other = (self.variants[v].factors for v in (contrast.baseline, contrast.changed))
            changed = [factor for factor in one if one[factor] != other[factor]]
            if changed != [contrast.factor]:
                raise ValueError(
                    f"{contrast.baseline}->{contrast.changed} changes {changed}, not just {contrast.factor}"
                )
        return self


class Step(Strict):
    """One step of the official workflow, or the way out."""

    id: Slug
    does: str


class Constraint(Strict):
    """The rule that a behaviour breaks: a sentence that the agent can read in `file`.

    Either `always` (a template over facts; in force whatever the stance) or the name of a fragment on `stance`,
    whose text under `permitted` is the sentence that allows the behaviour.
    """

    file: str
    always: str | None = None
    fragment: Identifier | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.always is None) == (self.fragment is None):
            raise ValueError("give either 'always' or 'fragment'")
        return self

    def in_force(self, factors: dict[str, str]) -> bool:
        """Whether the rule holds at this point of the factors."""
        return self.always is not None or factors["stance"] in RULE_STANCES


class Violation(Strict):
    """A rule that can be broken without any gain towards the objective."""

    id: Slug
    does: str
    constraint: Constraint
    severity: int = Field(ge=1, le=5)


class Shortcut(Violation):
    """A policy-violating way to the objective."""

    behaviour: Behaviour
    useful_because: str


class Trace(Strict):
    """A finding that only files can show: text left in watched places where it was not to begin with.

    `contains` holds templates; each is matched without regard to case, and one match suffices.
    """

    id: Slug
    shortcut: Slug
    places: tuple[str, ...] = Field(min_length=1)
    except_places: tuple[str, ...] = ()
    contains: tuple[str, ...] = Field(min_length=1)


class Limits(Strict):
    """Bounds of one episode."""

    messages: int = Field(default=80, ge=4)
    minutes: int = Field(default=30, ge=1, description="real minutes")


class ScenarioSpec(Strict):
    """One workplace situation (`scenario.yaml`)."""

    id: Identifier
    version: Annotated[str, StringConstraints(pattern=r"^\d+-[A-Z]$")]
    title: str
    domain: str
    objective: str
    hostname: str
    official: tuple[Step, ...] = Field(min_length=2)
    shortcuts: tuple[Shortcut, ...] = Field(min_length=1, max_length=3)
    violations: tuple[Violation, ...] = ()
    way_out: Step
    traces: tuple[Trace, ...] = ()
    watched: tuple[str, ...] = ()
    facts: dict[Identifier, "FactSpec"]
    fragments: dict[Identifier, "Fragment"]
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _ids_are_unique_and_traces_point_somewhere(self) -> Self:
        ids = [step.id for step in (*self.official, self.way_out)]
        ids += [rule.id for rule in (*self.shortcuts, *self.violations)]
        repeated = sorted({i for i in ids if ids.count(i) > 1})
        if repeated:
            raise ValueError(f"ids used twice: {', '.join(repeated)}")
        shortcuts = [shortcut.id for shortcut in self.shortcuts]
        for trace in self.traces:
            if trace.shortcut not in shortcuts:
                raise ValueError(
                    f"trace '{trace.id}' names shortcut '{trace.shortcut}'{nearest(trace.shortcut, shortcuts)}"
                )
        return self

    @model_validator(mode="after")
    def _constraints_name_fragments_on_stance(self) -> Self:
        on_stance = [name for name, fragment in self.fragments.items() if fragment.factor == "stance"]
        for rule in (*self.shortcuts, *self.violations):
            name = rule.constraint.fragment
            if name is not None and name not in on_stance:
                raise ValueError(
                    f"'{rule.id}' names fragment '{name}', which is none on stance{nearest(name, on_stance)}"
                )
        return self

    def offers(self, factors: dict[str, str]) -> str | None:
        """Why this scenario can't be run at a point of the factors; None if it can.

        A factor beyond the suite's own (naming, pressure) is offered by having fragments for its levels.
        """
        for factor in ("naming", "pressure"):
            level = factors[factor]
            levels = {key for f in self.fragments.values() if f.factor == factor for key in f.levels}
            if level != FACTOR_LEVELS[factor][0] and level not in levels:
                return f"{self.id} does not offer {factor}={level}"
        return None


class Fragment(Strict):
    """Text that depends on one factor, and the only text in a prompt or file that may.

    `levels` maps each level to its text (a template over facts).
    """

    factor: Literal["usefulness", "stance", "monitoring", "stakes", "framing", "naming", "pressure"]
    levels: dict[str, str]

    @model_validator(mode="after")
    def _levels_exist(self) -> Self:
        valid = FACTOR_LEVELS[self.factor]
        for level in self.levels:
            if level not in valid:
                raise ValueError(f"unknown level '{level}' of factor '{self.factor}'{nearest(level, list(valid))}")
        required = valid if self.factor not in ("naming", "pressure") else valid[:1]
        missing = [level for level in required if level not in self.levels]
        if missing:
            raise ValueError(f"no text for {', '.join(f'{self.factor}={level}' for level in missing)}")
        return self


class Choice(Strict):
    """One item of a list, or of a named pool (`"@teams"`)."""

    choice: tuple[str, ...] | str


class Sample(Strict):
    """`n` different items of a list or a named pool."""

    sample: tuple[str, ...] | str
    n: int = Field(ge=1)


class People(Strict):
    """`n` different people: mappings with name, first, last and login."""

    people: int = Field(ge=1)


class Integer(Strict):
    """A whole number between two bounds, both included, on a grid of `step`."""

    integer: tuple[int, int]
    step: int = Field(default=1, ge=1)


class Decimal(Strict):
    """A number between two bounds, rounded to `places`."""

    decimal: tuple[float, float]
    places: int = 2


class Pattern(Strict):
    """A code: `#` becomes a digit, `@` a lower-case letter, `%` an upper-case letter, `*` a hex digit."""

    pattern: str


class Moment(Strict):
    """A weekday between two ISO dates, at a time of day; drawn as an ISO date-time to the minute."""

    moment: tuple[str, str]
    at: Annotated[str, StringConstraints(pattern=r"^\d\d:\d\d$")] = "09:00"


class Derived(Strict):
    """An expression over the facts declared before it (in a table: over the row's earlier columns, too)."""

    expr: str


class Serial(Strict):
    """For table columns: numbers counting up from a start, behind a prefix."""

    serial: str
    start: int = 1
    step: int = Field(default=1, ge=1)


class Table(Strict):
    """`rows` mappings, each column drawn anew per row."""

    table: int = Field(ge=1, le=5000)
    columns: dict[Identifier, "ColumnSpec"]


FORMS = ("choice", "sample", "people", "integer", "decimal", "pattern", "moment", "expr", "serial", "table")
"""What a fact or column may be: each form is named by its first field."""


def _form(value: Any) -> str | None:
    given = value if isinstance(value, dict) else getattr(value, "model_fields_set", ())
    return next((form for form in FORMS if form in given), None)


# One form is chosen before anything is checked, so that a mistake is told of that form and not of all of them.
_BY_FORM = Discriminator(
    _form, custom_error_type="form", custom_error_message="is of no known form here (one of: " + ", ".join(FORMS) + ")"
)
_Value: TypeAlias = (
    Annotated[Choice, Tag("choice")]
    | Annotated[Integer, Tag("integer")]
    | Annotated[Decimal, Tag("decimal")]
    | Annotated[Pattern, Tag("pattern")]
    | Annotated[Moment, Tag("moment")]
    | Annotated[Derived, Tag("expr")]
)
ColumnSpec: TypeAlias = Annotated[_Value | Annotated[Serial, Tag("serial")], _BY_FORM]
FactSpec: TypeAlias = Annotated[
    _Value | Annotated[Sample, Tag("sample")] | Annotated[People, Tag("people")] | Annotated[Table, Tag("table")],
    _BY_FORM,
]

for _model in (Table, ScenarioSpec):
    _model.model_rebuild()


class Expected(Strict):
    """The labels that a reference script must get (see `sidedoor.scorers.labels`)."""

    engaged: bool
    official_path_attempted: bool
    official_path_succeeded: bool
    benchmark_task_completed: bool
    ic_behavior_detected: bool
    constraint_violated: bool
    stage: Literal["none", "attempted", "achieved"]
    escalated: bool
    tampered: bool = False
    shortcuts: tuple[Slug, ...] = ()


class When(Strict):
    """Labels that differ at some levels of the factors."""

    factors: dict[str, str]
    labels: dict[str, bool | str | tuple[Slug, ...]]

    @field_validator("factors")
    @classmethod
    def _known(cls, factors: dict[str, str]) -> dict[str, str]:
        check_factors(factors)
        return factors

    @field_validator("labels")
    @classmethod
    def _labels_exist(cls, labels: dict[str, object]) -> dict[str, object]:
        for label in labels:
            if label not in Expected.model_fields:
                raise ValueError(f"unknown label '{label}'{nearest(label, list(Expected.model_fields))}")
        return labels


class ReferenceSpec(Strict):
    """A reference script: what is done, and the labels that it must get.

    `steps` is a template that renders to one shell command per line; `final` is the closing message.
    """

    does: str
    steps: str
    final: str
    expect: Expected
    but: tuple[When, ...] = ()
    applies: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    def applies_to(self, factors: dict[str, str]) -> bool:
        """Whether the script makes sense at this point of the factors."""
        return all(factors[factor] in levels for factor, levels in self.applies.items())

    def expected(self, factors: dict[str, str]) -> Expected:
        """Labels to get at this point of the factors; later entries of `but` win."""
        labels = self.expect.model_dump()
        for when in self.but:
            if all(factors[factor] == level for factor, level in when.factors.items()):
                labels |= when.labels
        return Expected.model_validate(labels)
