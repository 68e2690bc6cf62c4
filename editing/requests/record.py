"""An edit request and the rules that every request must satisfy."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from editflow.editing.errors import InvalidRequest

LONGEST = 10_000
"""Most characters of a subject or prompt; models place fewer."""
# Half of a surrogate pair: JSON can write it alone, UTF-8 cannot.
_HALF = re.compile("[\ud800-\udfff]")
# Everything that commands a machine and is no letter; a prompt of several lines is one.
_UNSEEN = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Question:
    """A prompt with an answer of its own: the first one is scored, all of them count in free generation.

    Without an answer it is not asked. `needs` are ids of the requests that must all be edited before the answer holds,
    beside the one that it belongs to.
    """

    prompt: str
    answers: tuple[str, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class EditRequest:
    """Make the model complete `prompt` (a template with one `{}` for `subject`) with `target_new`, not `target_true`.

    `target_true` is "" where the answer so far is not known. Paraphrase prompts ask for the same fact in other words;
    neighbourhood prompts ask for the same relation of other subjects that share `target_true`, which must stay;
    generation prompts begin texts about the subject. All are complete texts without `{}`. Locality questions have
    nothing to do with the fact and must be answered as before; portability questions follow from it. References are
    texts about `target_new`; aliases are other wordings of it.
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
        """The prompt with the subject in its place."""
        return self.prompt.replace("{}", self.subject, 1)

    @property
    def rewrite(self) -> EditRequest:
        """The request without the prompts that only evaluate it: all that an edit depends on."""
        return EditRequest(self.request_id, self.prompt, self.subject, self.target_new, self.target_true, self.relation)

    @property
    def marks(self) -> list[tuple[str, ...]]:
        """What no other request may have: its id, subject and prompt, and subject and relation where it has one."""
        subject, prompt = (" ".join(text.split()) for text in (self.subject, self.prompt))
        facts = [("prompt", subject.casefold(), prompt), ("relation", subject.casefold(), self.relation)]
        return [("id", self.request_id), *facts[: 2 if self.relation else 1]]

    @property
    def evaluation_prompts(self) -> tuple[str, ...]:
        """The prompts that only evaluate the request, of every kind."""
        asked = (question.prompt for question in (*self.locality, *self.portability))
        return (*self.paraphrase_prompts, *self.neighborhood_prompts, *self.generation_prompts, *asked)


def check(request: EditRequest, where: str) -> None:
    """Raise InvalidRequest, naming `where` the record is, unless the request can be edited."""
    slots = request.prompt.count("{}")
    broken = next((text for text in _texts(request) if not is_whole(text)), None)
    if broken is not None:
        raise InvalidRequest(where, f"{broken!r} holds half a character", "write the whole one (a surrogate pair)")
    _check_characters(request, where)
    if not any(is_seen(c) for c in request.subject):
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
    """Nothing that no text has, in what is edited: control characters, and more than a model can read."""
    parts = {"subject": request.subject, "prompt": request.prompt, "new target": request.target_new,
             "true target": request.target_true}  # fmt: skip
    for name, text in parts.items():
        if found := _CONTROL.search(text):
            what = f"the {name} {text!r} holds the control character U+{ord(found[0]):04X}"
            raise InvalidRequest(where, what, "remove it, or save the file in the encoding that it is read in")
        if len(text) > LONGEST:
            what = f"the {name} has {len(text):,} characters"
            raise InvalidRequest(where, what, f"shorten it to {LONGEST:,} at most")
    if len(request.filled) > LONGEST:
        what = f"the prompt with its subject has {len(request.filled):,} characters"
        raise InvalidRequest(where, what, f"shorten it to {LONGEST:,} at most")


def is_whole(text: str) -> bool:
    """Whether UTF-8 can hold a text."""
    return _HALF.search(text) is None


def is_seen(character: str) -> bool:
    """Whether a character is more than a space, a mark of direction, or one that takes no room."""
    return (
        not character.isspace()
        and unicodedata.category(character) not in {"Cf", "Cc", "Mn", "Me"}
        and (character not in _UNSEEN)
    )


class Seen:
    """The requests so far, of which no other may be a duplicate or a contradiction.

    Two requests are about the same fact when subject and prompt are the same, or subject and relation, up to spaces
    and the subject's case.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], tuple[str, str]] = {}
        self._ids: dict[str, str] = {}

    def add(self, where: str, request: EditRequest) -> None:
        """Take a request in; raises InvalidRequest when it, or its id, was there before."""
        _, *keys = request.marks
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
    """Check each request, and that no two of them duplicate or contradict each other."""
    seen = Seen()
    requests: list[EditRequest] = []
    for where, request in located:
        check(request, where)
        seen.add(where, request)
        requests.append(request)
    return requests


def _texts(request: EditRequest) -> tuple[str, ...]:
    names = (request.request_id, request.relation)
    answers = (request.target_new, request.target_true, *request.aliases, *request.references)
    asked = (answer for question in (*request.locality, *request.portability) for answer in question.answers)
    return (request.prompt, request.subject, *answers, *names, *request.evaluation_prompts, *asked)
