"""Print how well the default model knows the starter set, as the table of docs/requests.md.

    python specs/facts/score.py      takes a few minutes on two cores; needs the model from `editflow fetch`

A row has a relation's shares of prompts for which the unedited model finds the true target more likely than the false
one: for the prompts themselves, their paraphrases, and the neighbours' prompts.
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
CHUNK = 50  # records per call of score


def prompts_of(request: EditRequest) -> list[tuple[str, ...]]:
    """The prompts of each column."""
    return [(request.filled,), request.paraphrase_prompts, request.neighborhood_prompts]


def true_wins(model: EditableModel, requests: Sequence[EditRequest]) -> list[list[list[bool]]]:
    """For each request, column and prompt: whether the true target is more likely."""
    questions = [
        (prompt, (request.target_true, request.target_new))
        for request in requests
        for prompts in prompts_of(request)
        for prompt in prompts
    ]
    wins = iter([true.nll < new.nll for true, new in score(model, questions)])
    return [[[next(wins) for _ in prompts] for prompts in prompts_of(request)] for request in requests]


def row(name: str, found: Sequence[list[list[bool]]]) -> str:
    """A line of the table: name, number of records, and the share of each column."""
    columns = [[win for record in found for win in record[column]] for column in range(3)]
    shares = [f"{sum(wins) / len(wins):.3f}" for wins in columns]
    return " | ".join([f"| {name}", str(len(found)), *shares]) + " |"


def main() -> None:
    """Score all records and print the table."""
    requests = load_requests(STARTER)
    model = load(model_folder(MODEL.name))
    found = [
        wins for start in range(0, len(requests), CHUNK) for wins in true_wins(model, requests[start : start + CHUNK])
    ]
    print("| relation | records | rewrite | paraphrase | neighbourhood |\n| --- | ---: | ---: | ---: | ---: |")
    for name in sorted({request.relation for request in requests}):
        print(row(name, [wins for request, wins in zip(requests, found, strict=True) if request.relation == name]))
    print(row("all", found))


if __name__ == "__main__":
    main()
