"""Liquid networks as values: wirings, LTC and CfC cells, ncps import, the sampled reference, files, tasks and training."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from liquid_neuro.construct import cfc, ltc
from liquid_neuro.dynamics import integrate
from liquid_neuro.ncps import load_ncps
from liquid_neuro.network import CfCSettings, ClosedForm, Exact, Fused, Interface, LiquidNetwork, LTCSettings, Solver
from liquid_neuro.quantized_network import Population, Projection, QuantizedNetwork
from liquid_neuro.storage import load, save
from liquid_neuro.wiring import ROLES, Wiring

if TYPE_CHECKING:
    from liquid_neuro import tasks as tasks
    from liquid_neuro.quantized_storage import load_quantized as load_quantized
    from liquid_neuro.quantized_storage import save_quantized as save_quantized
    from liquid_neuro.tasks import Split as Split
    from liquid_neuro.tasks import Task as Task
    from liquid_neuro.training.fit import Fit as Fit
    from liquid_neuro.training.fit import fit as fit

# Loaded at first use: they read data or need the extra "train".
_LATER = {"tasks": "", "Task": "tasks", "Split": "tasks", "fit": "training.fit", "Fit": "training.fit"}
_LATER |= dict.fromkeys(("save_quantized", "load_quantized"), "quantized_storage")

__all__ = [
    "ROLES",
    "CfCSettings",
    "ClosedForm",
    "Exact",
    "Fit",
    "Fused",
    "Interface",
    "LTCSettings",
    "LiquidNetwork",
    "Population",
    "Projection",
    "QuantizedNetwork",
    "Solver",
    "Split",
    "Task",
    "Wiring",
    "cfc",
    "fit",
    "integrate",
    "load",
    "load_ncps",
    "load_quantized",
    "ltc",
    "save",
    "save_quantized",
    "tasks",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_LATER[name] or name}")
    except ModuleNotFoundError as error:
        if error.name in ("jax", "optax"):
            raise ImportError(f'liquid_neuro.{name} needs {error.name}; install the extra: pip install "liquid-neuro[train]"') from None
        raise
    return getattr(module, name) if _LATER[name] else module
