"""Print how well the default model knows the starter set, as the table of docs/requests.md.

    python specs/facts/score.py      some minutes on two cores; needs the model from `editflow fetch`

A row holds the share of a relation's prompts on which the true target is likelier than the false one before any edit:
of the prompts themselves, of their paraphrases, and of the neighbours' prompts.
"""

from collections.abc import Sequence
from pathlib import Path

from editflow.editing.metrics.scoring import score
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.loading import load
from editflow.editing.requests.record import EditRequest
from editflow.tasks.models.model_source import model_folder
from editflow.tasks.sources.edit_requests import load_requests
from editflow.tasks.sources.packaged_data import MODEL

STARTER = Path(__file__).with_name("starter.jsonl")
CHUNK = 50  # records scored together


def prompts_of(request: EditRequest) -> list[tuple[str, ...]]:
    """The prompts of each column."""
    return [(request.filled,), request.paraphrase_prompts, request.neighborhood_prompts]


def known(model: EditableModel, requests: Sequence[EditRequest]) -> list[list[list[bool]]]:
    """Of each request and column: whether the true target wins, prompt by prompt."""
    asked = [
        (prompt, (request.target_true, request.target_new))
        for request in requests
        for prompts in prompts_of(request)
        for prompt in prompts
    ]
    wins = iter([true.nll < new.nll for true, new in score(model, asked)])
    return [[[next(wins) for _ in prompts] for prompts in prompts_of(request)] for request in requests]


def row(name: str, found: Sequence[list[list[bool]]]) -> str:
    """The table's line for these records: name, number of records, and the shares of the columns."""
    columns = [[win for record in found for win in record[column]] for column in range(3)]
    shares = [f"{sum(wins) / len(wins):.3f}" for wins in columns]
    return " | ".join([f"| {name}", str(len(found)), *shares]) + " |"


def main() -> None:
    """Score all records and print the table."""
    requests = load_requests(STARTER)
    model = load(model_folder(MODEL.name))
    found = [
        answers for start in range(0, len(requests), CHUNK) for answers in known(model, requests[start : start + CHUNK])
    ]
    print("| relation | records | rewrite | paraphrase | neighbourhood |\n| --- | ---: | ---: | ---: | ---: |")
    for name in sorted({request.relation for request in requests}):
        print(
            row(name, [answers for request, answers in zip(requests, found, strict=True) if request.relation == name])
        )
    print(row("all", found))


if __name__ == "__main__":
    main()
