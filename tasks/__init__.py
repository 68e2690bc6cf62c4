"""Stages: parents are loaded from the lake, `editing` is called, and an artifact is written."""
