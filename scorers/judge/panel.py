"""A panel: which judges, how often, and how their verdicts become one decision. Declared before the first verdict."""

import re
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

_FAMILIES: Final = {
    r"claude": "anthropic",
    r"gpt|chatgpt|o[1345](-|$)|codex": "openai",
    r"gemini|gemma|palm": "google",
    r"grok": "xai",
    r"qwen|qwq": "alibaba",
    r"llama": "meta",
    r"mistral|mixtral|magistral|ministral": "mistral",
    r"deepseek": "deepseek",
    r"kimi": "moonshot",
    r"glm": "zhipu",
}


class Panel(BaseModel):
    """The declaration of a panel.

    Attributes:
        judges: models, as provider/name.
        repeats: verdicts of each judge on each case.
        exclude_self: whether a judge does not judge models of its own family.
        threshold: share of the judges' votes that a decision needs; above it is a yes, below it a no, at it a tie.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    judges: tuple[str, ...] = Field(min_length=1)
    repeats: int = Field(default=1, ge=1)
    exclude_self: bool = True
    threshold: float = Field(default=0.5, gt=0, lt=1)

    def judges_of(self, model: str) -> tuple[str, ...]:
        """The judges that judge a model's transcripts."""
        if not self.exclude_self:
            return self.judges
        return tuple(judge for judge in self.judges if family(judge) != family(model))


def family(model: str) -> str:
    """Who made a model, as far as its name tells: the same model served by another provider is of the same family."""
    name = model.rsplit("/", 1)[-1].lower()
    # Some providers put the maker before the name: `anthropic.claude-…`, `us.anthropic.claude-…`.
    words = [part for part in re.split(r"[.:]", name) if part]
    for pattern, maker in _FAMILIES.items():
        if any(re.match(rf"({pattern})", word) for word in words):
            return maker
    return model.lower() if model.startswith("reference/") else model.split("/", 1)[0].lower()
