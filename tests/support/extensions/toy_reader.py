"""A reader of records with the fields `who`, `old` and `new`."""

from editflow.editing.requests.readers import Reader
from editflow.editing.requests.record import EditRequest

TOY_READER = Reader(
    "toy-triples",
    lambda where, record: [
        EditRequest(where.rpartition(" ")[2], "{} is in", record["who"], record["new"], record["old"])
    ],
    lambda record: "who" in record,
    "toy triples",
)
