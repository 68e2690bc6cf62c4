"""Errors in what the user typed."""

from editflow.storage.address import redact_text


class UsageError(Exception):
    """Base class of usage errors. The message is one line for the user; secrets in addresses are removed from it."""

    def __init__(self, message: object = "") -> None:
        super().__init__(redact_text(str(message)))


class BadSpec(UsageError):
    """A spec file or a --set value that does not define a run."""
