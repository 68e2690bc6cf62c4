"""Options of text generation: frozen values, validated when they are built. Imports no torch, because specs read it."""

from __future__ import annotations

from dataclasses import dataclass

from editflow.editing.errors import InvalidOption

ROLES = ("efficacy", "paraphrase", "generation", "portability")
"""Kinds of prompts to continue: the edited prompt, the fact in other words, the beginning of a text about the subject,
a question that follows from the fact."""
_PYDANTIC = {"extra": "forbid", "allow_inf_nan": False, "use_attribute_docstrings": True}


@dataclass(frozen=True)
class GenerationOptions:
    """Lengths of texts and answers, and sampling of the texts. Answers are greedy."""

    tokens: int = 100
    """Maximum number of tokens of a text about the subject, with its prompt."""
    answer_tokens: int = 16
    """Maximum number of tokens of an answer, without its prompt."""
    top_k: int = 5
    """Each token of a text is drawn from this many most likely tokens; 1 is greedy."""
    seed: int = 0
    """Seed of the sampling, combined with the prompt."""
    roles: tuple[str, ...] = ROLES
    """Kinds of prompts to continue."""

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
