"""New networks with ncps' initial ranges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from liquid_neuro.cells import cfc as cfc_cell
from liquid_neuro.cells import lstm
from liquid_neuro.cells.functions import FloatArray
from liquid_neuro.checks import check_choice, check_flag, check_seed, check_whole, is_whole
from liquid_neuro.network import CfCSettings, ClosedForm, Fused, Interface, LiquidNetwork, LTCSettings, Solver, as_solver
from liquid_neuro.wiring import Wiring

LTC_RANGES = {
    "gleak": (0.001, 1.0),
    "vleak": (-0.2, 0.2),
    "cm": (0.4, 0.6),
    "w": (0.001, 1.0),
    "sigma": (3.0, 8.0),
    "mu": (0.3, 0.8),
    "sensory_w": (0.001, 1.0),
    "sensory_sigma": (3.0, 8.0),
    "sensory_mu": (0.3, 0.8),
}
_MAPPINGS = {"affine": ("w", "b"), "linear": ("w",), "none": ()}


def ltc(
    wiring: Wiring,
    seed: int = 0,
    solver: Solver | str | None = None,
    *,
    softplus: bool = True,
    epsilon: float = 1e-8,
    input_mapping: str = "affine",
    output_mapping: str = "affine",
    mixed_memory: bool = False,
    interface: Interface | None = None,
    time_unit_s: float = 1.0,
) -> LiquidNetwork:
    """A new LTC on a wiring: parameters uniform in LTC_RANGES (before softplus; gap_w as w), erev the polarity, maps the identity.

    solver: Fused(6) unless told otherwise; "exact" or an object. input_mapping, output_mapping: "affine", "linear" or "none".
    """
    if not isinstance(wiring, Wiring):
        raise ValueError(f"wiring must be a Wiring, but is {wiring!r:.80}; use Wiring.fully_connected(inputs, units) for all synapses")
    mixed_memory = check_flag("mixed_memory", mixed_memory)
    generator = np.random.default_rng(check_seed(seed))
    sizes = {"sensory": wiring.sensory_synapse_count, "synapse": wiring.synapse_count, "unit": wiring.units}
    parameters: dict[str, Any] = {}
    for name, (low, high) in LTC_RANGES.items():
        kind = "unit" if name in ("gleak", "vleak", "cm") else "sensory" if name.startswith("sensory_") else "synapse"
        parameters[name] = generator.uniform(low, high, sizes[kind])
        parameters[name].setflags(write=False)  # the network may keep it without a copy
    parameters |= {"erev": wiring.polarity, "sensory_erev": wiring.sensory_polarity}
    for end, mapping, size in (("input", input_mapping, wiring.inputs), ("output", output_mapping, wiring.outputs)):
        check_choice(f"{end}_mapping", mapping, tuple(_MAPPINGS))
        parameters |= {f"{end}_{part}": np.full(size, float(part == "w")) for part in _MAPPINGS[mapping]}
    if mixed_memory:
        parameters |= _lstm(generator, wiring.inputs, wiring.units)
    if wiring.gap_count:  # drawn last: the other parameters are those of the same wiring without gap junctions
        parameters["gap_w"] = generator.uniform(*LTC_RANGES["w"], wiring.gap_count)
    return LiquidNetwork(
        cell="ltc",
        inputs=wiring.inputs,
        units=wiring.units,
        outputs=wiring.outputs,
        parameters=parameters,
        settings=LTCSettings(softplus=softplus, epsilon=epsilon),
        solver=Fused() if solver is None else as_solver(solver),
        wiring=wiring,
        interface=Interface() if interface is None else interface,
        time_unit_s=time_unit_s,
    )


def cfc(
    wiring_or_units: Wiring | int,
    inputs: int | None = None,
    mode: str = "default",
    seed: int = 0,
    *,
    projection: int | None = None,
    backbone_units: int = 128,
    backbone_layers: int = 1,
    activation: str = "lecun_tanh",
    mixed_memory: bool = False,
    dialect: str = "torch",
    interface: Interface | None = None,
    time_unit_s: float = 1.0,
) -> LiquidNetwork:
    """A new CfC: one cell per layer of a wiring (which has no backbone), or `units` fully connected units behind a backbone.

    Weights are Xavier-uniform and biases uniform in ±1/sqrt(columns), as ncps leaves them; its `pure` mode draws w_tau and A like weights
    too. projection: size of a linear output layer; without one y is the state of the last layer. Equations and masks: cells/cfc.py.
    """
    wiring = wiring_or_units if isinstance(wiring_or_units, Wiring) else None
    first, sizes = _cfc_sizes(wiring_or_units, inputs)
    if projection is not None:
        check_whole("projection", projection, 1)
    check_whole("backbone_layers", backbone_layers, 0)
    check_whole("backbone_units", backbone_units, 1, "; a CfC without backbone has backbone_layers=0")
    check_choice("mode", mode, cfc_cell.MODES)
    mixed_memory = check_flag("mixed_memory", mixed_memory)
    generator = np.random.default_rng(check_seed(seed))
    parameters: dict[str, FloatArray] = {}
    for number, (heard, size) in enumerate(zip([first, *sizes], sizes)):
        prefix, columns = "" if wiring is None else f"layer_{number}.", heard + size
        for depth in range(backbone_layers if wiring is None else 0):
            parameters |= _affine(generator, f"backbone.{depth}", backbone_units, columns)
            columns = backbone_units
        for head in cfc_cell.HEADS[:1] if mode == "pure" else cfc_cell.HEADS:
            parameters |= _affine(generator, prefix + head, size, columns)
        if mode == "pure":
            parameters |= {prefix + name: _xavier(generator, 1, size)[0] for name in ("w_tau", "A")}
    if mixed_memory:
        parameters |= _lstm(generator, first, sum(sizes))
    if projection is not None:
        bound = 1.0 / math.sqrt(sizes[-1])
        parameters["fc.weight"] = generator.uniform(-bound, bound, (projection, sizes[-1]))
        parameters["fc.bias"] = generator.uniform(-bound, bound, projection)
    return LiquidNetwork(
        cell="cfc",
        inputs=first,
        units=sum(sizes),
        outputs=sizes[-1] if projection is None else int(projection),
        parameters=parameters,
        settings=CfCSettings(mode=mode, activation=activation, dialect=dialect),
        solver=ClosedForm(),
        wiring=wiring,
        interface=Interface() if interface is None else interface,
        time_unit_s=time_unit_s,
    )


def _cfc_sizes(wiring_or_units: Wiring | int, inputs: int | None) -> tuple[int, list[int]]:
    """(inputs, units of each layer) of a new CfC. ValueError where they are not told or do not fit."""
    if inputs is not None:
        check_whole("inputs", inputs, 0)
    if isinstance(wiring_or_units, Wiring):
        if inputs not in (None, wiring_or_units.inputs):
            raise ValueError(f"inputs must be the wiring's, {wiring_or_units.inputs}, but is {inputs}")
        if not wiring_or_units.layers:
            raise ValueError("wiring of a CfC must have layers, but has none; give layers= to Wiring.from_adjacency")
        return wiring_or_units.inputs, [len(layer) for layer in wiring_or_units.layers]
    if inputs is None:
        raise ValueError("inputs must be given for a CfC without a wiring")
    if not is_whole(wiring_or_units) or wiring_or_units < 1:
        raise ValueError(f"wiring_or_units must be a Wiring or a number of units of at least 1, but is {wiring_or_units!r:.80}")
    return int(inputs), [int(wiring_or_units)]


def _xavier(generator: np.random.Generator, rows: int, columns: int) -> FloatArray:
    bound = math.sqrt(6.0 / (rows + columns))
    return generator.uniform(-bound, bound, (rows, columns))


def _affine(generator: np.random.Generator, name: str, rows: int, columns: int) -> dict[str, FloatArray]:
    bound = 1.0 / math.sqrt(columns)
    return {f"{name}.weight": _xavier(generator, rows, columns), f"{name}.bias": generator.uniform(-bound, bound, rows)}


def _lstm(generator: np.random.Generator, inputs: int, units: int) -> dict[str, FloatArray]:
    """Weights from the inputs Xavier-uniform, bias in ±0.1, recurrent weights with orthonormal columns."""
    shapes = lstm.parameter_shapes(inputs, units)
    orthogonal, upper = np.linalg.qr(generator.standard_normal(shapes["lstm.recurrent_map.weight"]))
    return {
        "lstm.input_map.weight": _xavier(generator, 4 * units, inputs),
        "lstm.input_map.bias": generator.uniform(-0.1, 0.1, 4 * units),
        "lstm.recurrent_map.weight": orthogonal * np.sign(np.diag(upper)),
    }
