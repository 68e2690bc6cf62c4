"""The command line: what is around every command."""
