"""The command line: entry point, registry and error handling."""
