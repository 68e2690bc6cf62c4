"""What can go wrong between the lake and the science, one line each.

TaskError
├── UnknownSource    a model, corpus or request file that is not there, or not yet fetched
├── BadRecord        a line of a file that cannot be read
├── FetchFailed      a download that did not come, or came with the wrong content
└── StateMismatch    a state that does not materialise to the weights it was archived with
"""


class TaskError(Exception):
    """Base of the tree; the message is one line for the user."""


class UnknownSource(TaskError):
    """A model, corpus or request file that is not there."""


class BadRecord(TaskError):
    """A line of a file that cannot be read."""


class FetchFailed(TaskError):
    """A download that did not come, or came with the wrong content."""


class StateMismatch(TaskError):
    """A state that does not materialise to the weights it was archived with."""
