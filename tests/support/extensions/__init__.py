"""Extensions from outside the package, each a file of its own: see tests/flows/test_extensions.py."""
