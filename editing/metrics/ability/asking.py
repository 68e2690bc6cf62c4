"""Asking a model: by the likelihood of the options, or by the text it generates. The two scores are never mixed.

A way is named in every row. By likelihood the model has to choose; by generation it may also give another text, which
is counted separately and as wrong. The second is harder, and published scores seldom name the mode.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from editflow.editing.errors import InvalidOption
from editflow.editing.metrics.ability.declaration import AbilityCase
from editflow.editing.metrics.ability.modes import TOKENS, check_ways
from editflow.editing.metrics.scoring import score
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.generation import continue_texts
from editflow.editing.models.tokens import encode

_PASS = 4096
"""Tokens of prompts that run together, padding included: what bounds memory."""


@dataclass(frozen=True)
class Answer:
    """What a model answers to a question. `predicted` is None for no answer, `nlls` belong to the case's options."""

    case: AbilityCase
    way: str
    predicted: str | None
    nlls: tuple[float, ...] | None = None
    said: str | None = None


def ask(
    model: EditableModel,
    cases: Sequence[AbilityCase],
    way: str,
    tokens: int = TOKENS,
    tokens_per_pass: int = _PASS,
    progress: Callable[[int], None] = lambda _cases: None,
) -> list[Answer]:
    """One answer per case, in their order. `tokens` bounds a generated answer.

    By likelihood the answer is the option of the lowest mean NLL per token, put after the prompt and a space. The mean
    and not the sum, or an option would lose by being cut into more tokens; where each is one token they are the same.
    Two options with the lowest are no answer. By generation it is what `parsed` finds in the likeliest continuation.
    Raises InvalidOption for a question that the model is too short for.
    """
    check_ways([way])
    answers: dict[int, Answer] = {}
    for places in _passes(model, cases, tokens, tokens_per_pass):
        part = [cases[place] for place in places]
        found = _by_likelihood(model, part) if way == "likelihood" else _by_generation(model, part, tokens)
        answers.update(zip(places, found, strict=True))
        progress(len(places))
    return [answers[place] for place in range(len(cases))]


def preferred(options: Sequence[str], nlls: Sequence[float]) -> str | None:
    """The option of the lowest NLL; None where two share it."""
    best = min(nlls)
    winners = [option for option, nll in zip(options, nlls, strict=True) if nll == best]
    return winners[0] if len(winners) == 1 else None


def parsed(said: str, options: Sequence[str]) -> str | None:
    """The option that a text begins with, or None.

    Spaces, quotes, brackets and other signs may stand before it, and no letter or digit right after it. Case does not
    count, except for options of one letter: these must be as they are and end the line or stand before a sign, since "A
    good question" answers nothing.
    """
    for option in options:
        letter = len(option) == 1
        after = r"(?=[ \t]*(?:$|[^\w\s]))" if letter else r"(?!\w)"
        flags = re.MULTILINE if letter else re.IGNORECASE
        if re.match(rf"[\W_]*{re.escape(option)}{after}", said, flags):
            return option
    return None


def _by_likelihood(model: EditableModel, cases: Sequence[AbilityCase]) -> Iterator[Answer]:
    scores = score(model, [(case.prompt, case.options) for case in cases], prompts_per_pass=len(cases))
    for case, found in zip(cases, scores, strict=True):
        nlls = tuple(one.nll for one in found)
        yield Answer(case, "likelihood", preferred(case.options, nlls), nlls=nlls)


def _by_generation(model: EditableModel, cases: Sequence[AbilityCase], tokens: int) -> Iterator[Answer]:
    for case, said in zip(cases, continue_texts(model, [case.prompt for case in cases], tokens), strict=True):
        yield Answer(case, "generation", parsed(said, case.options), said=said)


def _passes(model: EditableModel, cases: Sequence[AbilityCase], tokens: int, most: int) -> Iterator[list[int]]:
    """Places of cases that run together: of like length, padded to at most `most` tokens, and at least one."""
    lengths = [len(encode(model.tokenizer, case.prompt)[0]) + tokens for case in cases]
    limit = getattr(model.model.config, "max_position_embeddings", None)
    part: list[int] = []
    for place in sorted(range(len(cases)), key=lambda n: (lengths[n], n)):
        if limit is not None and lengths[place] > limit:
            case = cases[place]
            what = f"question {case.case_id!r} of {case.set_name} with its answer takes {lengths[place]} tokens"
            raise InvalidOption(f"{what}, the model {limit}: give fewer examples, or remove the record")
        if part and (len(part) + 1) * lengths[place] > most:
            yield part
            part = []
        part.append(place)
    if part:
        yield part
