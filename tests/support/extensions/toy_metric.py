"""A metric: whether the prompt with its subject in capitals yields the new target."""

from editflow.editing.metrics.metric import Metric, new_answer

TOY_METRIC = Metric(
    "toy-shout",
    new_answer(lambda request: (request.prompt.format(request.subject.upper()),)),
    wants_new=True,
    about="does the prompt with its subject in capitals give the new target?",
    source="no paper",
)
