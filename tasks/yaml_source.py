"""The one reader of YAML: safe, closed schemas, and errors that say where and what was probably meant."""

import difflib
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Tag, ValidationError
from pydantic_core import ErrorDetails

ModelT = TypeVar("ModelT", bound=BaseModel)


class Strict(BaseModel):
    """Base of every model read from a file: frozen, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceError(ValueError):
    """A file could not be used; the message is one line with file, line (where known), and what to do."""


MAX_DEPTH: Final = 100
"""How deep a file may nest; libyaml, which is six times as fast as PyYAML's own reader, would end the process."""


class _Loader(yaml.CSafeLoader):
    """Safe YAML, in which a key given twice and a value that cannot be made (30 February) are errors with a line."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' is given twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def load(path: Path, model: type[ModelT]) -> ModelT:
    """Read a YAML file into a model.

    Raises:
        SourceError: the file is missing, is not YAML, or does not fit the model.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read: {error}") from None
    return parse(text, model, str(path))


def parse(text: str, model: type[ModelT], name: str) -> ModelT:
    """Read YAML text into a model; `name` stands for the file in messages.

    Raises:
        SourceError: the text is not YAML, or does not fit the model.
    """
    try:
        _check_depth(text)
        loader = _Loader(text)
        root = loader.get_single_node()
        data = None if root is None else loader.construct_document(root)
    except (yaml.YAMLError, UnicodeEncodeError) as error:  # half a surrogate pair
        raise SourceError(f"{name}{_mark(error)}: not valid YAML: {_problem(error)}") from None
    if not isinstance(data, dict):
        raise SourceError(f"{name}: expected a mapping of fields at the top level")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise SourceError(_explain(error, root, model, name)) from None


def nearest(name: str, valid: list[str]) -> str:
    """A hint naming the nearest valid name (`; did you mean 'x'?`) or listing them all."""
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f" (valid: {', '.join(sorted(valid))})"


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError("nested too deeply")


def _mark(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark else ""


def _problem(error: Exception) -> str:
    return str(getattr(error, "problem", None) or error).replace("\n", " ")


def _explain(error: ValidationError, root: yaml.Node | None, model: type[BaseModel], name: str) -> str:
    parts = []
    for detail in error.errors():
        where = ".".join(str(part) for part in detail["loc"] if part != "[key]") or "(file)"
        line = _line(root, detail["loc"])
        parts.append(f"{name}:{line}: {where}: {_reason(detail, model)}")
    return "; ".join(parts[:5])


def _reason(detail: ErrorDetails, model: type[BaseModel]) -> str:
    if detail["type"] == "extra_forbidden":
        return "unknown field" + nearest(str(detail["loc"][-1]), _fields(model, detail["loc"][:-1]))
    return detail["msg"].removeprefix("Value error, ")


def _fields(annotation: Any, loc: tuple[int | str, ...]) -> list[str]:
    """Field names of the (possibly nested) model at a location."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        return _fields(fields[str(loc[0])].annotation, loc[1:]) if loc else list(fields)
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _fields(arguments[0], loc)
    if get_origin(annotation) in (dict, tuple):
        return _fields(arguments[-1 if get_origin(annotation) is dict else 0], loc[1:])
    if get_origin(annotation) in (Union, UnionType):
        return next((_fields(member, loc[1:]) for member in arguments if Tag(str(loc[0])) in get_args(member)), [])
    return []


def _line(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """1-based line of the deepest node that the location reaches."""
    line = 1
    for part in loc:
        child = _child(node, part)
        if child is None:
            break
        key, node = child
        line = key.start_mark.line + 1
    return line


def _child(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
