"""Runs commands without Prefect, so that cases test EditFlow only."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.tiny_world import DirectPipeline


def without_prefect(patch: pytest.MonkeyPatch) -> None:
    """Call flows as plain functions and stages one by one, and start no server."""
    from prefect import Flow

    from editflow.flows.pipeline.pipeline import Pipeline

    patch.setattr(Flow, "__call__", lambda flow, *given, **named: flow.fn(*given, **named))
    for name in ("_call", "_import"):
        patch.setattr(Pipeline, name, getattr(DirectPipeline, name))
    for name in ("ready", "start", "reap", "prepare"):
        patch.setattr(f"editflow.flows.orchestration.temporary_server.{name}", lambda *_given, **_named: 0)


def at_home(patch: pytest.MonkeyPatch, base: Path, secret: str) -> None:
    """Use a separate home, cache and temporary folder, and a secret in the environment."""
    for name, folder in (("HOME", "home"), ("TMPDIR", "tmp"), ("EDITFLOW_CACHE", "cache"), ("XDG_CACHE_HOME", "cache")):
        patch.setenv(name, str(base / folder))
    patch.setattr("tempfile.tempdir", str(base / "tmp"))
    patch.setenv("EDITFLOW_CANARY_SECRET", secret)
    patch.setenv("COLUMNS", "250")
    patch.delenv("EDITFLOW_LAKE", raising=False)
