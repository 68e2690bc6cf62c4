"""Errors of knowledge editing; each message is one line.

EditingError
├── InvalidRequest     an invalid edit record: its place, what is wrong, the remedy
├── InvalidCase        an invalid record of an ability set, with the same parts
├── InvalidOption      an option out of range, or an invalid combination
├── UnknownModel       no such folder, file or hub id
├── UnknownFamily      an architecture without a declaration
└── NonFinite          NaN or infinity in weights, activations or losses
"""


def first_line(error: BaseException) -> str:
    """Return a library's message as one line: the first line, joined with the second if the first ends in a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


class EditingError(Exception):
    """Base of the tree; the message is one line for the user."""


class _InvalidRecord(EditingError):
    def __init__(self, where: str, what: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}; {remedy}")


class InvalidRequest(_InvalidRecord):
    """A record that is not a valid edit request."""


class InvalidCase(_InvalidRecord):
    """A record that is not a valid question of its ability set."""


class InvalidOption(EditingError):
    """An option out of range, or an invalid combination."""


class UnknownModel(EditingError):
    """No model at the given folder, file or hub id."""


class UnknownFamily(EditingError):
    """An architecture that no family declares."""


class NonFinite(EditingError):
    """NaN or infinity in place of a finite number."""
