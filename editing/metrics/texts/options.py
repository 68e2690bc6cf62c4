"""Options of text generation: frozen values, validated when they are built. Imports no torch: specs read it too."""

from __future__ import annotations

from dataclasses import dataclass

from editflow.editing.errors import InvalidOption

ROLES = ("efficacy", "paraphrase", "generation", "portability")
"""What a model may be asked to continue: the edited prompt, the fact in other words, the beginning of a text about
the subject, a question that follows from the fact."""
_PYDANTIC = {"extra": "forbid", "allow_inf_nan": False, "use_attribute_docstrings": True}


@dataclass(frozen=True)
class GenerationOptions:
    """How long texts and answers are, and how the texts are drawn. Answers are greedy."""

    tokens: int = 100
    """Tokens that a text about the subject has at most, its prompt among them."""
    answer_tokens: int = 16
    """Tokens that an answer has at most, without its prompt."""
    top_k: int = 5
    """Each next token of a text is drawn from so many likeliest ones; 1 takes the likeliest."""
    seed: int = 0
    """Of the drawing, together with the prompt."""
    roles: tuple[str, ...] = ROLES
    """Which prompts are asked."""

    __pydantic_config__ = _PYDANTIC

    def __post_init__(self) -> None:
        unknown = [role for role in self.roles if role not in ROLES]
        if not 1 <= self.tokens <= 1000:
            raise InvalidOption(f"texts.tokens = {self.tokens}: choose 1…1000")
        if not 1 <= self.answer_tokens <= 1000:
            raise InvalidOption(f"texts.answer_tokens = {self.answer_tokens}: choose 1…1000")
        if self.top_k < 1:
            raise InvalidOption(f"texts.top_k = {self.top_k}: choose at least 1, which is greedy")
        if not 0 <= self.seed < 2**53:
            raise InvalidOption(f"texts.seed = {self.seed}: choose 0…2^53 − 1")
        if unknown:
            raise InvalidOption(f"texts.roles has {unknown[0]!r}: choose from {', '.join(ROLES)}")
