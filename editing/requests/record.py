"""Edit requests, and the rules that every request must satisfy."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from editflow.editing.errors import InvalidRequest

MAX_CHARACTERS = 10_000
"""Maximum length of a subject, prompt or target; models have room for less."""
# JSON can contain half of a surrogate pair; UTF-8 cannot encode it.
_SURROGATE = re.compile("[\ud800-\udfff]")
_INVISIBLE = frozenset("\u115f\u1160\u2800\u3164\uffa0")
# Tabs and line ends are allowed.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Question:
    """A prompt with its answers. The first answer is scored; in free generation all count as right.

    A question without answers is not asked. `needs` are the ids of the requests, besides its own, that must be edited
    for the answer to be right.
    """

    prompt: str
    answers: tuple[str, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class EditRequest:
    """A request to make the model complete `prompt` with `target_new` instead of `target_true`.

    `prompt` is a template with one `{}` for `subject`. `target_true` is "" if the current answer is unknown. Paraphrase
    prompts ask for the same fact in other words. Neighbourhood prompts ask for the same relation of other subjects that
    share `target_true`, whose answer must stay. Generation prompts begin texts about the subject. All these are
    complete texts without `{}`. Locality questions are unrelated to the fact, and their answers must stay. Portability
    questions follow from the fact. References are texts about `target_new`; aliases are other wordings of it.
    """

    request_id: str
    prompt: str
    subject: str
    target_new: str
    target_true: str
    relation: str = ""
    paraphrase_prompts: tuple[str, ...] = ()
    neighborhood_prompts: tuple[str, ...] = ()
    generation_prompts: tuple[str, ...] = ()
    locality: tuple[Question, ...] = ()
    portability: tuple[Question, ...] = ()
    references: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def filled(self) -> str:
        """The prompt with the subject filled in."""
        return self.prompt.replace("{}", self.subject, 1)

    @property
    def rewrite(self) -> EditRequest:
        """The parts that an edit depends on, without the prompts that only evaluate it."""
        return EditRequest(self.request_id, self.prompt, self.subject, self.target_new, self.target_true, self.relation)

    @property
    def unique_keys(self) -> list[tuple[str, ...]]:
        """Keys that no other request may share: id; subject and prompt; subject and relation, if it has one."""
        subject, prompt = (" ".join(text.split()) for text in (self.subject, self.prompt))
        facts = [("prompt", subject.casefold(), prompt), ("relation", subject.casefold(), self.relation)]
        return [("id", self.request_id), *facts[: 2 if self.relation else 1]]

    @property
    def evaluation_prompts(self) -> tuple[str, ...]:
        """All prompts that only evaluate the request."""
        questions = (question.prompt for question in (*self.locality, *self.portability))
        return (*self.paraphrase_prompts, *self.neighborhood_prompts, *self.generation_prompts, *questions)


def check(request: EditRequest, where: str) -> None:
    """Raise InvalidRequest, with the record's place `where`, unless the request is valid."""
    slots = request.prompt.count("{}")
    broken = next((text for text in _texts(request) if not is_encodable(text)), None)
    if broken is not None:
        raise InvalidRequest(where, f"{broken!r} holds half a character", "write the whole one (a surrogate pair)")
    _check_characters(request, where)
    if not any(is_visible(c) for c in request.subject):
        raise InvalidRequest(where, "the subject is empty", "name what the fact is about")
    if slots == 0 and request.subject not in request.prompt:
        what = f"subject {request.subject!r} is absent from its prompt {request.prompt!r}"
        raise InvalidRequest(where, what, "write `{}` where the subject belongs")
    if slots != 1:
        what = f"the prompt has {slots} `{{}}`: {request.prompt!r}"
        raise InvalidRequest(where, what, "write exactly one `{}`, where the subject belongs")
    if not request.target_new.strip():
        raise InvalidRequest(where, "the new target is empty", "give the answer as text")
    if request.target_new.strip() == request.target_true.strip():
        raise InvalidRequest(where, f"the new and the true target are both {request.target_new!r}", "drop the record")
    for prompt in (request.filled, *request.evaluation_prompts):
        if not prompt.strip() or prompt != prompt.rstrip():
            raise InvalidRequest(where, f"prompt {prompt!r} is empty or ends with a space", "end it with a word")


def _check_characters(request: EditRequest, where: str) -> None:
    """Refuse control characters and excessive lengths in the texts that an edit depends on."""
    parts = {"subject": request.subject, "prompt": request.prompt, "new target": request.target_new,
             "true target": request.target_true}  # fmt: skip
    for name, text in parts.items():
        if found := _CONTROL.search(text):
            what = f"the {name} {text!r} holds the control character U+{ord(found[0]):04X}"
            raise InvalidRequest(where, what, "remove it, or save the file as UTF-8")
        if len(text) > MAX_CHARACTERS:
            what = f"the {name} has {len(text):,} characters"
            raise InvalidRequest(where, what, f"shorten it to {MAX_CHARACTERS:,} at most")
    if len(request.filled) > MAX_CHARACTERS:
        what = f"the prompt with its subject has {len(request.filled):,} characters"
        raise InvalidRequest(where, what, f"shorten it to {MAX_CHARACTERS:,} at most")


def is_encodable(text: str) -> bool:
    """Whether UTF-8 can encode a text."""
    return _SURROGATE.search(text) is None


def is_visible(character: str) -> bool:
    """Whether a character is visible: not a space, a control or format character, or a combining mark."""
    return (
        not character.isspace()
        and unicodedata.category(character) not in {"Cf", "Cc", "Mn", "Me"}
        and character not in _INVISIBLE
    )


class DuplicateCheck:
    """Refuses requests that duplicate or contradict an earlier one.

    Two requests are about the same fact if they share subject and prompt, or subject and relation. Spaces and the
    subject's case do not matter.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], tuple[str, str]] = {}
        self._ids: dict[str, str] = {}

    def add(self, where: str, request: EditRequest) -> None:
        """Add a request. Raises InvalidRequest if an earlier one has the same fact or id."""
        _, *keys = request.unique_keys
        found = [self._seen[key] for key in keys if key in self._seen]
        if found:
            earlier, target = found[0]
            same = target == request.target_new
            what = "duplicates" if same else f"contradicts (→ {target!r}, → {request.target_new!r})"
            raise InvalidRequest(where, f"{request.filled!r} {what} {earlier}", "keep one of the two")
        if request.request_id in self._ids:
            what = f"id {request.request_id!r} is already used at {self._ids[request.request_id]}"
            raise InvalidRequest(where, what, "give each record its own case_id")
        self._seen |= dict.fromkeys(keys, (where, request.target_new))
        self._ids[request.request_id] = where


def check_all(located: Iterable[tuple[str, EditRequest]]) -> list[EditRequest]:
    """Check each request, and that none duplicates or contradicts another. Returns the requests."""
    duplicates = DuplicateCheck()
    requests: list[EditRequest] = []
    for where, request in located:
        check(request, where)
        duplicates.add(where, request)
        requests.append(request)
    return requests


def _texts(request: EditRequest) -> tuple[str, ...]:
    names = (request.request_id, request.relation)
    answers = (request.target_new, request.target_true, *request.aliases, *request.references)
    others = (answer for question in (*request.locality, *request.portability) for answer in question.answers)
    return (request.prompt, request.subject, *answers, *names, *request.evaluation_prompts, *others)
