"""What can be wrong with what the user typed."""


class UsageError(Exception):
    """Base of the tree; the message is one line for the user."""


class BadSpec(UsageError):
    """A spec file or a --set that does not make a run."""
