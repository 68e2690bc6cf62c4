"""Three of the tiny models for the oracle itself, which knows no families: its controls are tuned to their numbers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from oracle import tiny as tiny_models


@pytest.fixture(params=["llama", "gpt2", "gptj"])
def tiny(request: pytest.FixtureRequest) -> SimpleNamespace:
    torch.manual_seed(0)
    return tiny_models.FAMILIES[request.param]()
