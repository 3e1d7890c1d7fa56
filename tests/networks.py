"""Networks that the tests share: the small models of known numbers, single neurons, and the golden vectors of ncps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import liquid_neuro
from liquid_neuro import Exact, Fused, LiquidNetwork, LTCSettings, Wiring
from liquid_neuro.network import CfCSettings, ClosedForm, Solver

GOLDEN_FOLDER = Path(__file__).parent / "golden"
# What the files do not tell.
GOLDEN: dict[str, dict[str, Any]] = {
    "ltc_ncp19": {},
    "ltc_auto32_softplus": {},
    "ltc_fc12_unfold3": {"ode_unfolds": 3},
    "ltc_rand24_noaffine": {"outputs": 3},
    "ltc_auto32_mixed": {},
    "cfc_default": {},
    "cfc_pure": {"mode": "pure"},
    "cfc_nogate": {"mode": "no_gate", "activation": "relu"},
    "cfc_wired_ncp19": {},
    "cfc_wired_auto32": {"mode": "no_gate"},
    "cfc_mixed": {},
}
GOLDEN_WIRINGS = {
    "ltc_ncp19": lambda: Wiring.ncp(32, 12, 6, 1, 6, 4, 6, 6),
    "ltc_auto32_softplus": lambda: Wiring.auto_ncp(7, 28, 3, 0.5, seed=8),
    "ltc_fc12_unfold3": lambda: Wiring.fully_connected(5, 10, 2),
    "ltc_rand24_noaffine": lambda: Wiring.random(6, 20, 3, 0.7, seed=4),
    "ltc_auto32_mixed": lambda: Wiring.auto_ncp(7, 28, 3, 0.5, seed=8),
    "cfc_wired_ncp19": lambda: Wiring.ncp(32, 12, 6, 1, 6, 4, 6, 6),
    "cfc_wired_auto32": lambda: Wiring.auto_ncp(7, 28, 3, 0.5, seed=8),
}


def golden(name: str, suffix: str = ".safetensors") -> tuple[LiquidNetwork, dict[str, np.ndarray]]:
    """A golden network, read from its file, and the recorded arrays (x, regular.y, regular.h, irregular.timespans, …)."""
    network = liquid_neuro.load_ncps(GOLDEN_FOLDER / f"{name}{suffix}", cell=name[:3], **GOLDEN[name])
    with np.load(GOLDEN_FOLDER / f"{name}.npz") as arrays:
        return network, {key: arrays[key] for key in arrays.files}


def fill(shape: tuple[int, ...], offset: float, span: float, modulus: int) -> np.ndarray:
    """offset + span ((7 k + 3) mod modulus) / modulus at flat index k."""
    k = np.arange(int(np.prod(shape)))
    return (offset + span * ((7 * k + 3) % modulus) / modulus).reshape(shape)


def signs(shape: tuple[int, ...]) -> np.ndarray:
    """-1 where the flat index is a multiple of 3, else +1."""
    k = np.arange(int(np.prod(shape)))
    return np.where(k % 3 == 0, -1.0, 1.0).reshape(shape)


def l4_state_dict() -> dict[str, np.ndarray]:
    """An LTC of 4 neurons, 2 inputs and 1 output under ncps' names (dense matrices)."""
    i, j = np.indices((4, 4))
    mask = ((2 * i + j) % 3 != 0).astype(float)
    arrays = {"gleak": fill((4,), 0.1, 0.6, 5), "vleak": fill((4,), -0.2, 0.4, 7), "cm": fill((4,), 0.4, 0.3, 3)}
    for side, shape in (("", (4, 4)), ("sensory_", (2, 4))):
        arrays |= {f"{side}w": fill(shape, 0.2, 0.8, 11), f"{side}sigma": fill(shape, 3, 4, 7), f"{side}mu": fill(shape, 0.3, 0.4, 5)}
    arrays |= {"sparsity_mask": mask, "erev": signs((4, 4)) * mask}
    arrays |= {"sensory_sparsity_mask": np.ones((2, 4)), "sensory_erev": signs((2, 4))}
    arrays |= {"input_w": np.ones(2), "input_b": np.zeros(2), "output_w": np.ones(1), "output_b": np.zeros(1)}
    return {f"rnn_cell.{name}": value for name, value in arrays.items()}


def l4(softplus: bool = False, solver: Solver | None = None, **changes: Any) -> LiquidNetwork:
    """`l4_state_dict` as a network; changes replace parameters."""
    arrays = {name[len("rnn_cell.") :]: value for name, value in l4_state_dict().items()}
    mask = arrays["sparsity_mask"]
    wiring = Wiring.from_adjacency(arrays["erev"], arrays["sensory_erev"], 1)
    parameters = {name: arrays[name] for name in ("gleak", "vleak", "cm", "input_w", "input_b", "output_w", "output_b")}
    for name in ("w", "sigma", "mu", "erev"):
        parameters[name] = arrays[name][mask == 1]
        parameters[f"sensory_{name}"] = arrays[f"sensory_{name}"].reshape(-1)
    settings = LTCSettings(softplus=softplus)
    return LiquidNetwork("ltc", 2, 4, 1, {**parameters, **changes}, settings, solver or Fused(), wiring)


def c4_state_dict() -> dict[str, np.ndarray]:
    """A CfC of 4 units and 3 inputs without backbone under ncps' names."""
    arrays = {}
    for number, head in enumerate(("ff1", "ff2", "time_a", "time_b")):
        arrays |= {f"{head}.weight": fill((4, 7), -0.5 + 0.1 * number, 1.0, 13), f"{head}.bias": fill((4,), -0.2, 0.4, 5)}
    return {f"rnn_cell.{name}": value for name, value in arrays.items()}


def c4(mode: str = "default") -> LiquidNetwork:
    """`c4_state_dict` as a network."""
    parameters = {name[len("rnn_cell.") :]: value for name, value in c4_state_dict().items()}
    return LiquidNetwork("cfc", 3, 4, 4, parameters, CfCSettings(mode=mode), ClosedForm())


def one_neuron(
    cm: float, gleak: float, vleak: float, sensory: tuple[float, float, float, float] | None = None, solver: Solver | None = None
) -> LiquidNetwork:
    """One neuron without softplus; sensory: (w, sigma, mu, erev) of one synapse from the one input. Solver exact unless told otherwise."""
    synapse = np.array([sensory]).T if sensory else np.zeros((4, 0))
    sensory_adjacency = [[int(np.sign(sensory[3])) or 1]] if sensory else [[0]]
    parameters = {"cm": [cm], "gleak": [gleak], "vleak": [vleak]}
    for name, values in zip(("w", "sigma", "mu", "erev"), synapse):
        parameters |= {name: [], f"sensory_{name}": values}
    wiring = Wiring.from_adjacency(np.zeros((1, 1)), sensory_adjacency, 1)
    return LiquidNetwork("ltc", 1, 1, 1, parameters, LTCSettings(softplus=False), solver or Exact(), wiring)


def ncp19(seed: int = 1, solver: Solver | None = None) -> LiquidNetwork:
    """A new 19-neuron LTC on the neural circuit policy with 32 inputs."""
    return liquid_neuro.ltc(Wiring.ncp(32, 12, 6, 1, 6, 4, 6, 6), seed=seed, solver=solver)
