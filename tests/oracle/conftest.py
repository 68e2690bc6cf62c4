"""The oracle's tiny models, one family after the other."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from oracle import tiny as tiny_models


@pytest.fixture(params=tiny_models.FAMILIES)
def tiny(request: pytest.FixtureRequest) -> SimpleNamespace:
    torch.manual_seed(0)
    return tiny_models.FAMILIES[request.param]()
