"""Helpers for tests: tiny models and lakes, ways to damage files and kill processes, and checks of output."""
