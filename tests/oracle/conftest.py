"""Three tiny models for tests of the oracle itself; their controls are tuned to the numbers of these models."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from oracle import tiny as tiny_models


@pytest.fixture(params=["llama", "gpt2", "gptj"])
def tiny(request: pytest.FixtureRequest) -> SimpleNamespace:
    torch.manual_seed(0)
    return tiny_models.FAMILIES[request.param]()
