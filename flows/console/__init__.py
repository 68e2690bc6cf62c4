"""Input, output, signals and errors of commands."""
