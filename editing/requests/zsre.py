"""zsRE in the format of MEND's evaluation file (arXiv 2110.11309): src, subject, answers, rephrase, alt, loc, loc_ans.

Published evaluations write different answers. MEMIT (arXiv 2210.07229) and AlphaEdit write the right answer, which the
model mostly does not know (`zsre`). MEND writes the made-up `alt` (`zsre-alt`). With `zsre` there is no other answer to
compare with, so success is not available, but accuracy is. The unrelated question `loc` (from Natural Questions) gets
the question mark that the file omits. EasyEdit's copy of the file has a question that follows from `alt`
(`portability`: `New Question`, `New Answer`); only `zsre-alt` asks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from editflow.editing.errors import InvalidRequest
from editflow.editing.requests.fields import answers, field, question, record_id, template, text, texts
from editflow.editing.requests.record import EditRequest, Question


def request(where: str, record: Mapping[str, Any]) -> EditRequest:
    """Return the request that writes the first right answer; the others are aliases."""
    first, *others = answers(where, field(where, record, "answers", list)) or ("",)
    return _request(where, record, first, "", tuple(others))


def alternative_request(where: str, record: Mapping[str, Any]) -> EditRequest:
    """Return the request that writes the made-up answer in place of the right one."""
    right = answers(where, field(where, record, "answers", list)) or ("",)
    new = field(where, record, "alt", str).strip()
    return _request(where, record, new, right[0], (), _portability(where, record.get("portability")))


def _portability(where: str, given: Any) -> tuple[Question, ...]:
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise InvalidRequest(where, "field 'portability' is not an object", "write {New Question, New Answer}")
    return (question(where, given.get("New Question"), given.get("New Answer")),)


def _request(
    where: str,
    record: Mapping[str, Any],
    new: str,
    true: str,
    aliases: tuple[str, ...],
    portability: tuple[Question, ...] = (),
) -> EditRequest:
    subject = field(where, record, "subject", str)
    prompt = field(where, record, "src", str)
    loc = text(where, record, "loc")
    locality = (question(where, f"{loc.removesuffix('?')}?", record.get("loc_ans")),) if loc else ()
    return EditRequest(
        record_id(record.get("case_id"), prompt, subject, new), template(where, prompt, subject), subject, new, true,
        paraphrase_prompts=texts(where, record, "rephrase", alone=True), locality=locality,
        portability=portability, aliases=aliases,
    )  # fmt: skip
