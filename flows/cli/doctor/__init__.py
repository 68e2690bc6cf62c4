"""The checks of `editflow doctor`."""
