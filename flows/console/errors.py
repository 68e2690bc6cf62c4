"""Errors in what the user typed."""

from editflow.storage.address import redact_text


class UsageError(Exception):
    """Base of the tree; the message is one line for the user, without secrets of addresses in it."""

    def __init__(self, message: object = "") -> None:
        super().__init__(redact_text(str(message)))


class BadSpec(UsageError):
    """A spec file or a --set that does not make a run."""
