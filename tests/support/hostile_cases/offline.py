"""Commands without Prefect's server between them and the stages: what a case asks is this program, not that one."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.tiny_world import DirectPipeline


def without_prefect(patch: pytest.MonkeyPatch) -> None:
    """Flows are the functions that they wrap, stages are called one by one, and no server is waited for."""
    from prefect import Flow

    from editflow.flows.pipeline.pipeline import Pipeline

    patch.setattr(Flow, "__call__", lambda flow, *given, **named: flow.fn(*given, **named))
    patch.setattr(Pipeline, "_call", DirectPipeline._call)
    for name in ("ready", "start", "reap", "prepare"):
        patch.setattr(f"editflow.flows.orchestration.temporary_server.{name}", lambda *_given, **_named: 0)


def at_home(patch: pytest.MonkeyPatch, base: Path, secret: str) -> None:
    """A home, a cache and a temporary folder of its own; a secret in the environment."""
    for name, folder in (("HOME", "home"), ("TMPDIR", "tmp"), ("EDITFLOW_CACHE", "cache"), ("XDG_CACHE_HOME", "cache")):
        patch.setenv(name, str(base / folder))
    patch.setattr("tempfile.tempdir", str(base / "tmp"))
    patch.setenv("EDITFLOW_CANARY_SECRET", secret)
    patch.setenv("COLUMNS", "250")
    patch.delenv("EDITFLOW_LAKE", raising=False)
