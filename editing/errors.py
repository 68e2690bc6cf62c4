"""Errors of knowledge editing; each message is one line.

EditingError
├── InvalidRequest     a record that cannot be edited: its place, what is wrong, the remedy
├── InvalidCase        a record of an ability set that cannot be asked, likewise
├── InvalidOption      an option out of range, or a combination that has no meaning
├── UnknownModel       no such folder, file or hub id
├── UnknownFamily      an architecture without a declaration
└── NonFinite          NaN or infinity in weights, activations or losses
"""


def first_line(error: BaseException) -> str:
    """A library's message as one line: the first line, with the second one where the first ends in a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


class EditingError(Exception):
    """Base of the tree; the message is one line for the user."""


class InvalidRequest(EditingError):
    """A record that cannot be edited."""

    def __init__(self, where: str, what: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}; {remedy}")


class InvalidCase(EditingError):
    """A record of an ability set that cannot be asked."""

    def __init__(self, where: str, what: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}; {remedy}")


class InvalidOption(EditingError):
    """An option out of range, or a combination that has no meaning."""


class UnknownModel(EditingError):
    """No model at the given folder, file or hub id."""


class UnknownFamily(EditingError):
    """An architecture that no family declares."""


class NonFinite(EditingError):
    """NaN or infinity where a finite number is needed."""
