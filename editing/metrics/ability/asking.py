"""Ask a model ability questions, by the likelihood of the options or by the text that it generates.

The scores of the two modes are never mixed; every row names its mode. By likelihood the model must choose an option. By
generation it may also give another text, which is counted separately and as wrong. Generation is harder, and published
scores seldom name the mode.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from editflow.editing.errors import InvalidOption
from editflow.editing.metrics.ability.declaration import AbilityCase
from editflow.editing.metrics.ability.modes import TOKENS, check_modes
from editflow.editing.metrics.scoring import score
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.generation import continue_texts
from editflow.editing.models.tokens import encode

_TOKENS_PER_PASS = 4096
"""Maximum number of prompt tokens per forward pass, with padding; bounds memory."""


@dataclass(frozen=True)
class Answer:
    """A model's answer to a question.

    `predicted` is the chosen option, None for no answer. `nlls` are the options' NLLs (likelihood); `generated` is the
    text (generation).
    """

    case: AbilityCase
    mode: str
    predicted: str | None
    nlls: tuple[float, ...] | None = None
    generated: str | None = None


def ask(
    model: EditableModel,
    cases: Sequence[AbilityCase],
    mode: str,
    tokens: int = TOKENS,
    tokens_per_pass: int = _TOKENS_PER_PASS,
    progress: Callable[[int], None] = lambda _cases: None,
) -> list[Answer]:
    """Return one answer per case, in order. `tokens` limits a generated answer.

    By likelihood, the answer is the option with the lowest mean NLL per token after the prompt and a space. The sum
    would disadvantage options of more tokens; for options of one token both are the same. If two options share the
    lowest NLL, there is no answer. By generation, the answer is what `parse_option` finds in the greedy continuation.
    Raises InvalidOption for a question that is too long for the model.
    """
    check_modes([mode])
    answers: dict[int, Answer] = {}
    for indices in _passes(model, cases, tokens, tokens_per_pass):
        part = [cases[i] for i in indices]
        found = _by_likelihood(model, part) if mode == "likelihood" else _by_generation(model, part, tokens)
        answers.update(zip(indices, found, strict=True))
        progress(len(indices))
    return [answers[i] for i in range(len(cases))]


def likeliest_option(options: Sequence[str], nlls: Sequence[float]) -> str | None:
    """Return the option with the lowest NLL, or None if two share it."""
    lowest = min(nlls)
    winners = [option for option, nll in zip(options, nlls, strict=True) if nll == lowest]
    return winners[0] if len(winners) == 1 else None


def parse_option(text: str, options: Sequence[str]) -> str | None:
    """Return the option that a text begins with, or None.

    Spaces, quotes, brackets and other signs may precede it; no letter or digit may follow it directly. Case is ignored,
    except for options of one letter. These need the exact case and must be followed by a sign or the end of the line,
    since "A good question" is not the answer A.
    """
    for option in options:
        is_letter = len(option) == 1
        after = r"(?=[ \t]*(?:$|[^\w\s]))" if is_letter else r"(?!\w)"
        flags = re.MULTILINE if is_letter else re.IGNORECASE
        if re.match(rf"[\W_]*{re.escape(option)}{after}", text, flags):
            return option
    return None


def _by_likelihood(model: EditableModel, cases: Sequence[AbilityCase]) -> Iterator[Answer]:
    scores = score(model, [(case.prompt, case.options) for case in cases], prompts_per_pass=len(cases))
    for case, found in zip(cases, scores, strict=True):
        nlls = tuple(one.nll for one in found)
        yield Answer(case, "likelihood", likeliest_option(case.options, nlls), nlls=nlls)


def _by_generation(model: EditableModel, cases: Sequence[AbilityCase], tokens: int) -> Iterator[Answer]:
    texts = continue_texts(model, [case.prompt for case in cases], tokens)
    for case, text in zip(cases, texts, strict=True):
        yield Answer(case, "generation", parse_option(text, case.options), generated=text)


def _passes(
    model: EditableModel, cases: Sequence[AbilityCase], tokens: int, tokens_per_pass: int
) -> Iterator[list[int]]:
    """Group the indices of cases of similar length into passes of at most `tokens_per_pass` tokens, or of one case."""
    lengths = [len(encode(model.tokenizer, case.prompt)[0]) + tokens for case in cases]
    limit = getattr(model.model.config, "max_position_embeddings", None)
    part: list[int] = []
    for i in sorted(range(len(cases)), key=lambda n: (lengths[n], n)):
        if limit is not None and lengths[i] > limit:
            case = cases[i]
            what = f"question {case.case_id!r} of {case.set_name} with its answer takes {lengths[i]} tokens"
            raise InvalidOption(f"{what}, the model {limit}: give fewer examples, or remove the record")
        if part and (len(part) + 1) * lengths[i] > tokens_per_pass:
            yield part
            part = []
        part.append(i)
    if part:
        yield part
