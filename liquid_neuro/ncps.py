"""Trained networks of the ncps library (Lechner & Hasani, version 1.0.1) as networks of this project.

A checkpoint holds weights alone. What it does not tell is asked for: ode_unfolds, softplus (implicit_param_constraints), epsilon, the CfC
mode and activation, the outputs where there is no output map, and the dialect, because ncps.torch and ncps.keras give one name to two
different CfC equations (liquid_neuro/cells/cfc.py). A file of one dialect is never read as the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.cells import cfc as cfc_cell
from liquid_neuro.checks import check_choice, check_flag, check_path, check_whole
from liquid_neuro.dynamics import trajectory
from liquid_neuro.ncps_file import Arrays, as_float, liquid_part, read_arrays
from liquid_neuro.network import CfCSettings, ClosedForm, Exact, Fused, LiquidNetwork, LTCSettings
from liquid_neuro.wiring import COMMAND, INTER, MOTOR, UNKNOWN, Wiring

FloatArray = npt.NDArray[np.float64]
_LTC_SYNAPSE = ("w", "sigma", "mu", "erev")
_KERAS_NAME = re.compile(r"(?:^|[./])(?:(ff1|ff2|time_a|time_b|backbone_?(\d+))[./_](kernel|weight|bias)|(w_tau|A))(?::0)?$")
_KERAS_LTC = re.compile(r"(?:^|[./])((?:sensory_)?(?:w|sigma|mu|erev)|gleak|vleak|cm|input_[wb]|output_[wb])(?::0)?$")


def load_ncps(
    path: str | Path,
    cell: str = "ltc",
    ode_unfolds: int = 6,
    softplus: bool = True,
    epsilon: float = 1e-8,
    mode: str = "default",
    activation: str = "lecun_tanh",
    dialect: str = "torch",
    outputs: int | None = None,
    wiring: Wiring | None = None,
    *,
    prefix: str | None = None,
    time_unit_s: float = 1.0,
) -> LiquidNetwork:
    """The network in an ncps checkpoint: .safetensors, .npz, or the .pt that torch.save(model.state_dict(), path) writes.

    cell: "ltc" or "cfc". ode_unfolds, softplus, epsilon: the LTC's; softplus is implicit_param_constraints, on by default as in
    ncps.torch.LTC (ncps.torch.LTCCell has it off). mode, activation: the CfC's; a file of mode "pure" is recognised.
    dialect: "torch", or "keras" for weights written under Keras' names: (in, out) kernels, no masks (a synapse is where erev is not 0), no
    softplus in the LTC, another CfC equation.
    outputs: needed for an LTC without output map. wiring: the wiring it was trained on, for the neurons' roles; its synapses must be the
    file's. Without one the outputs are motor neurons, the other roles are unknown, and a wired CfC of three layers is an NCP.
    prefix: where the liquid part sits in a larger model. The LTC's solver is Fused(ode_unfolds): what ncps trained; `import_gap` tells
    how far that is from the differential equation. ValueError where the file does not fit.
    """
    for name, value, allowed in (("cell", cell, ("ltc", "cfc")), ("dialect", dialect, cfc_cell.DIALECTS), ("mode", mode, cfc_cell.MODES)):
        check_choice(name, value, allowed)
    path, softplus = check_path("path", path), check_flag("softplus", softplus)
    if outputs is not None:
        outputs = check_whole("outputs", outputs, 1)
    if wiring is not None and not isinstance(wiring, Wiring):
        raise ValueError(f"wiring must be a Wiring, but is {wiring!r:.80}")
    if prefix is not None and not isinstance(prefix, str):
        raise ValueError(f"prefix must be a text, but is {prefix!r:.80}")
    arrays = read_arrays(path)
    try:
        named = _keras_names(arrays, cell) if dialect == "keras" else _torch_names(arrays, prefix)
        _check_cell(named, cell)
        if cell == "ltc":
            settings = LTCSettings(softplus=softplus and dialect == "torch", epsilon=epsilon)
            return _ltc(named, Fused(ode_unfolds), settings, outputs, wiring, time_unit_s)
        found = "pure" if any(name.endswith("w_tau") for name in named) else mode
        if mode == "no_gate" and found == "pure":
            raise ValueError('mode must be "pure" for a file with w_tau and A, but is "no_gate"')
        return _cfc(named, CfCSettings(found, activation, dialect), outputs, wiring, time_unit_s)
    except ValueError as error:
        raise ValueError(f'"{path}": {error}') from None


@dataclass(frozen=True)
class Gap:
    """How far two solvers of the same weights lie apart: root mean square and largest difference of y, and y's standard deviation."""

    rms: float
    max: float
    output_std: float
    description: str

    def __str__(self) -> str:
        return f"{self.rms:.3g} rms, {self.max:.3g} at most ({self.output_std:.3g} is the output's standard deviation; {self.description})"


def import_gap(network: LiquidNetwork, seed: int = 0) -> Gap:
    """The difference between an LTC under its fused solver and under `exact`, on a stated, seeded input.

    The input is 2 sequences of 25 samples, 1 model unit each: first-order noise x_k = 0.8 x_(k-1) + 0.6 n_k per channel, n standard normal.
    """
    if network.cell != "ltc":
        raise ValueError("the gap to exact must be asked of an LTC; a CfC is its own closed form")
    fused = network if isinstance(network.solver, Fused) else network.with_solver(Fused())
    noise = np.random.default_rng(seed).standard_normal((2, 25, network.inputs))
    x = noise.copy()
    for index in range(1, x.shape[1]):
        x[:, index] = 0.8 * x[:, index - 1] + 0.6 * noise[:, index]
    y, reference = trajectory(fused, x).y, trajectory(fused.with_solver(Exact()), x, tolerance=1e-6).y
    text = f"{fused.solver} against exact, 2 x 25 samples of first-order noise (0.8, standard deviation 1), seed {seed}"
    return Gap(float(np.sqrt(np.mean((y - reference) ** 2))), float(np.abs(y - reference).max()), float(reference.std()), text)


def _torch_names(arrays: Arrays, prefix: str | None) -> dict[str, FloatArray]:
    kernels = [name for name in arrays if re.search(r"kernel(:0)?$|ff[12]_weight(:0)?$", name)]
    if kernels:
        raise ValueError(f'holds Keras kernels ({kernels[0]}), whose equations differ; give dialect="keras"')
    return {name: as_float(name, value) for name, value in liquid_part(arrays, prefix).items()}


def _keras_names(arrays: Arrays, cell: str) -> dict[str, FloatArray]:
    """Keras' variable paths as torch's names and (out, in) weights."""
    torch = [name for name in arrays if name.endswith(("sparsity_mask", "ff1.weight"))]
    if torch:
        raise ValueError(f'holds a torch state dictionary ({torch[0]}), whose equations differ; give dialect="torch"')
    pattern = _KERAS_LTC if cell == "ltc" else _KERAS_NAME
    named: dict[str, FloatArray] = {}
    for path, value in arrays.items():
        match = pattern.search(path)
        if match is None:
            raise ValueError(
                f"holds {path}, which is no part of a Keras {cell.upper()} cell; a wired or mixed-memory Keras model cannot be read"
            )
        name = match[1] if cell == "ltc" else _keras_cfc_name(match)
        if name in named:
            raise ValueError(f"holds {name} twice; a wired Keras CfC does not store its masks and cannot be read")
        array = as_float(path, value)
        named[name] = array.T if name.endswith(".weight") else array
        if name.endswith("erev"):  # Keras stores no masks: a synapse is where the reversal potential is not 0
            named[f"{name[:-4]}sparsity_mask"] = (array != 0.0).astype(np.float64)
    return named


def _keras_cfc_name(match: re.Match[str]) -> str:
    if match[4]:
        return str(match[4])
    layer = f"backbone.{match[2]}" if match[2] is not None else match[1]
    return f"{layer}.{'bias' if match[3] == 'bias' else 'weight'}"


def _check_cell(named: dict[str, FloatArray], cell: str) -> None:
    other = {"ltc": "cfc", "cfc": "ltc"}[cell]
    telling = {"ltc": ("gleak",), "cfc": ("ff1.weight", "layer_0.ff1.weight")}
    if not any(name in named for name in telling[cell]) and any(name in named for name in telling[other]):
        raise ValueError(f'cell must be "{other}" for this file, but is "{cell}"')


# --- LTC -------------------------------------------------------------------------------------------------------------------------


def _ltc(
    named: dict[str, FloatArray], solver: Fused, settings: LTCSettings, outputs: int | None, wiring: Wiring | None, time_unit_s: float
) -> LiquidNetwork:
    units = _length(named, "gleak")
    sensory_w = _get(named, "sensory_w")
    inputs = sensory_w.shape[0] if sensory_w.ndim == 2 else -1
    masks = {}
    for side, shape in (("", (units, units)), ("sensory_", (inputs, units))):
        for name in _LTC_SYNAPSE:
            _shaped(named, side + name, shape)
        masks[side] = _mask(named, side, shape)
    wiring = _ltc_wiring(masks, named, _ltc_outputs(named, outputs, wiring), wiring)
    parameters = {name: value for name, value in named.items() if not name.endswith("sparsity_mask")}
    for side, source, target in (("", wiring.source, wiring.target), ("sensory_", wiring.sensory_source, wiring.sensory_target)):
        for name in _LTC_SYNAPSE:
            parameters[side + name] = named[side + name][source, target]
    return LiquidNetwork("ltc", inputs, units, wiring.outputs, parameters, settings, solver, wiring, time_unit_s=time_unit_s)


def _mask(named: dict[str, FloatArray], side: str, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Where synapses are."""
    if f"{side}sparsity_mask" not in named:
        raise ValueError(f'must hold {side}sparsity_mask, but does not; if Keras wrote it, give dialect="keras"')
    mask = _shaped(named, f"{side}sparsity_mask", shape)
    if not np.isin(mask, (0.0, 1.0)).all():
        raise ValueError(f"{side}sparsity_mask must hold 0 and 1, but holds {mask[~np.isin(mask, (0.0, 1.0))][0]}")
    return np.asarray(mask == 1.0)


def _ltc_outputs(named: dict[str, FloatArray], outputs: int | None, wiring: Wiring | None) -> int:
    told = {"output_w": len(named["output_w"]) if "output_w" in named and named["output_w"].ndim == 1 else None}
    told |= {"outputs=": outputs, "wiring=": wiring.outputs if wiring is not None else None}
    given = {name: count for name, count in told.items() if count is not None}
    if not given:
        raise ValueError("holds no output map, which would tell the number of outputs; give outputs=")
    if len(set(given.values())) > 1:
        raise ValueError(f"outputs must be one number, but {' and '.join(f'{name} says {count}' for name, count in given.items())}")
    return next(iter(given.values()))


def _ltc_wiring(masks: dict[str, npt.NDArray[np.bool_]], named: dict[str, FloatArray], outputs: int, wiring: Wiring | None) -> Wiring:
    if wiring is not None:
        for what, mine, theirs in (
            ("synapses", masks[""], wiring.adjacency()),
            ("sensory synapses", masks["sensory_"], wiring.sensory_adjacency()),
        ):
            _check_same(what, mine, theirs != 0)
        return wiring
    units = len(masks[""])
    if not 1 <= outputs <= units:
        raise ValueError(f"outputs must be 1 to the number of units, {units}, but is {outputs}")
    signed = {side: np.where(mask, np.where(named[f"{side}erev"] < 0, -1, 1), 0) for side, mask in masks.items()}
    return Wiring.from_adjacency(signed[""], signed["sensory_"], outputs)


# --- CfC -------------------------------------------------------------------------------------------------------------------------


def _cfc(
    named: dict[str, FloatArray], settings: CfCSettings, outputs: int | None, wiring: Wiring | None, time_unit_s: float
) -> LiquidNetwork:
    wired = any(name.startswith("layer_") for name in named)
    if wired:
        wiring = _cfc_wiring(named, wiring)
        units, inputs = wiring.units, wiring.inputs
        last = len(wiring.layers[-1])
    else:
        if wiring is not None:
            raise ValueError("wiring must be None for a CfC whose file has no layers, but is given")
        units = last = _length(named, "ff1.bias")
        first = next((name for name in ("backbone.0.weight", "ff1.weight") if name in named), "ff1.weight")
        if _get(named, first).ndim != 2:
            raise ValueError(f"{first} must be a matrix, but has shape {named[first].shape}")
        inputs = named[first].shape[1] - units
        if named["ff1.weight"].shape[0] != units and named["ff1.weight"].shape[1:] == (units,):
            raise ValueError(
                'holds weights in Keras\' (in, out) layout, whose equations differ; write them as kernels and give dialect="keras"'
            )
        if inputs < 0:
            raise ValueError(f"{first} must have at least {units} columns (inputs and state), but has {named[first].shape[1]}")
    count = _length(named, "fc.bias") if "fc.bias" in named else last
    if outputs is not None and outputs != count:
        raise ValueError(f"outputs must be {count} for this file, but is {outputs}")
    parameters = _cfc_parameters(named)
    return LiquidNetwork("cfc", inputs, units, count, parameters, settings, ClosedForm(), wiring, time_unit_s=time_unit_s)


def _cfc_parameters(named: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Our names: backbone layers without the gaps that dropout leaves, w_tau and A as vectors, masks applied."""
    indices = sorted({int(name.split(".")[1]) for name in named if re.match(r"backbone\.\d+\.", name)})
    parameters = {}
    for name, value in named.items():
        if name.endswith("sparsity_mask"):
            continue
        match = re.match(r"backbone\.(\d+)\.(.*)", name)
        own = f"backbone.{indices.index(int(match[1]))}.{match[2]}" if match else name
        mask = named.get(re.sub(r"ff[12]\.weight$", "sparsity_mask", name)) if name.endswith(("ff1.weight", "ff2.weight")) else None
        if mask is not None and mask.shape != value.shape:
            raise ValueError(f"{name} must have the shape of its sparsity_mask, {mask.shape}, but has {value.shape}")
        value = value if mask is None else value * mask
        parameters[own] = value.reshape(-1) if name.endswith(("w_tau", "A")) else value
    return parameters


def _cfc_wiring(named: dict[str, FloatArray], wiring: Wiring | None) -> Wiring:
    """The wiring that the masks tell: between layers; within a layer a wired CfC is dense whatever its wiring says.

    Units are numbered as ncps does, last layer first. Signs are not in the file: every synapse counts as excitatory.
    """
    count = 1 + max(int(match[1]) for match in (re.match(r"layer_(\d+)\.", name) for name in named) if match)
    sizes = [_length(named, f"layer_{layer}.ff1.bias") for layer in range(count)]
    first = _get(named, "layer_0.sparsity_mask")
    inputs = first.shape[1] - sizes[0] if first.ndim == 2 else -1
    if inputs < 0:
        raise ValueError(f"layer_0.sparsity_mask must be a matrix with at least {sizes[0]} columns, but has shape {first.shape}")
    heard = [inputs, *sizes]
    blocks = [
        _shaped(named, f"layer_{layer}.sparsity_mask", (size, heard[layer] + size))[:, : heard[layer]] for layer, size in enumerate(sizes)
    ]
    if wiring is not None:
        if [len(layer) for layer in wiring.layers] != sizes or wiring.inputs != inputs:
            raise ValueError(
                f"wiring must have {inputs} inputs and layers of {sizes}, but has {wiring.inputs} and {[len(x) for x in wiring.layers]}"
            )
        for layer, block in enumerate(blocks):
            _check_same(f"synapses into layer {layer}", block.T != 0, cfc_cell.layer_mask(wiring, layer)[:, : heard[layer]].T != 0)
        return wiring
    starts = [sum(sizes[layer + 1 :]) for layer in range(count)]
    layers = [range(start, start + size) for start, size in zip(starts, sizes)]
    adjacency = np.zeros((sum(sizes), sum(sizes)), dtype=np.int8)
    sensory = np.zeros((inputs, sum(sizes)), dtype=np.int8)
    for layer, block in enumerate(blocks):
        rows = sensory if layer == 0 else adjacency[layers[layer - 1].start : layers[layer - 1].stop]
        rows[:, layers[layer].start : layers[layer].stop] = block.T != 0
    roles = np.full(sum(sizes), UNKNOWN)
    for layer, role in zip(range(count), (INTER, COMMAND) if count == 3 else ()):
        roles[list(layers[layer])] = role
    roles[: sizes[-1]] = MOTOR
    return Wiring.from_adjacency(adjacency, sensory, sizes[-1], roles.tolist(), layers)


# --- checks ----------------------------------------------------------------------------------------------------------------------


def _get(named: dict[str, FloatArray], name: str) -> FloatArray:
    if name not in named:
        raise ValueError(f"must hold {name}, but does not; it holds {', '.join(sorted(named)[:8])}, …")
    return named[name]


def _length(named: dict[str, FloatArray], name: str) -> int:
    value = _get(named, name)
    if value.ndim != 1 or not len(value):
        raise ValueError(f"{name} must be a vector, but has shape {value.shape}")
    return len(value)


def _shaped(named: dict[str, FloatArray], name: str, shape: tuple[int, ...]) -> FloatArray:
    value = _get(named, name)
    if value.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, but has {value.shape}")
    return value


def _check_same(what: str, file: npt.NDArray[Any], given: npt.NDArray[Any]) -> None:
    if file.shape != given.shape:
        raise ValueError(f"wiring must have the file's sizes {file.shape} of {what}, but has {given.shape}")
    differ = np.argwhere(file != given)
    if len(differ):
        source, target = differ[0].tolist()
        raise ValueError(f"wiring must have the file's {what}, but {len(differ)} differ, the first {source} -> {target}")
