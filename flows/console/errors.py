"""Errors in what the user typed."""

from editflow.storage.address import cut_inside


class UsageError(Exception):
    """Base of the tree; the message is one line for the user, without secrets of addresses in it."""

    def __init__(self, message: object = "") -> None:
        super().__init__(cut_inside(str(message)))


class BadSpec(UsageError):
    """A spec file or a --set that does not make a run."""
