"""Extensions from outside the package, one file each, for tests/flows/test_extensions.py."""
