"""A CfC in integers from sums, rectifiers and products alone: what neuromorphic libraries bring as ready-made neurons.

The same equations as in cfc.py for a fixed elapsed time, with every curve f (tanh, sigmoid, the backbone's activation) as a bank of K
rectifiers: f(x) - f(0) = Σ slope_k (relu(x - p_k) - relu(-p_k)), straight lines between the knots p_k and flat beyond the last ones. It is
another network than that of tables (cfc_integer.py), with an error of its own. The programs, each one of Lava's processes:

============  ==============  =======================================================================
program       Lava's process  what it computes
============  ==============  =======================================================================
lava.relu     SigmaDelta      max(sum + bias, 0) - rest
lava.sigma    Sigma           sum + start
lava.relay    GradedVec       sum / 2**shift: a value takes as long as a product
lava.product  ProdNeuron      (share / 2**shift) (change / 2**shift) / 2**product_shift
lava.delta    Delta           the sum of what arrives, each / 2**shift; in backbone layers lava.hidden
============  ==============  =======================================================================

SigmaDelta and Delta send differences, the others their value at every tick, which is the same to whoever adds up differences. Divisions by
powers of two round down, on values and never on differences, so nothing accumulates. A stage takes four ticks: bank, sums, relay and
product, deltas; a unit hears its own state after one stage per backbone layer and one for the heads. Nobody holds these neurons still
before the first sample: the state without input is made zero everywhere (`rest`), and biases arrive as weights on the step of two
compartments, coarse and fine, that start together with the first sample.

Units: messages Q.m; one step of an argument is scale / 2**m, per output; curves are Q.VALUE, the gate Q.GATE, products Q.(VALUE - HALVING).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware_profiles.fixed_point import QFormat, floor_shift, maximum, round_half_up
from liquid_neuro.cells.cfc import effective, layer_sizes
from liquid_neuro.cells.functions import ACTIVATIONS, FloatArray, sigmoid
from liquid_neuro.cells.integer import Program, constant, whole
from liquid_neuro.cells.rectifiers import bank_of
from liquid_neuro.network import LiquidNetwork
from liquid_neuro.quantized_network import IntArray, Population, Projection

VALUE, GATE = 22, 23  # fraction bits of curves and of the gate: the difference of two curves just fits 24 bits
HALVING = 8  # the most that one synapse divides by, as a power of two
HOPS = 4  # of a stage
WORD = QFormat(24, 0)

# --- integer programs -----------------------------------------------------------------------------------------------------------------


def relu(state: Any, value: Any, bias: Any, rest: Any) -> Any:
    """How far a rectifier is from where it rests."""
    return maximum(value + bias, 0) - rest


def sigma(state: Any, value: Any, start: Any) -> Any:
    """A running sum that starts at `start`."""
    return value + start


def relay(state: Any, value: Any, shift: Any) -> Any:
    """The value, one tick later."""
    return floor_shift(value, shift)


def product(state: Any, share: Any, change: Any, shift: Any, product_shift: Any) -> Any:
    """share times change."""
    return floor_shift(floor_shift(share, shift) * floor_shift(change, shift), product_shift)


def delta(state: Any, carried: Any, change: Any, shift: Any) -> Any:
    """What arrives, in steps of the message."""
    return floor_shift(carried, shift) + floor_shift(change, shift)


RELU = Program("lava.relu", relu, ("value",), ("bias", "rest"), (), stateless=True, unit=False)
SIGMA = Program("lava.sigma", sigma, ("value",), ("start",), (), stateless=True, unit=False)
RELAY = Program("lava.relay", relay, ("value",), ("shift",), (), stateless=True, unit=False)
PRODUCT = Program("lava.product", product, ("share", "change"), ("shift", "product_shift"), (), stateless=True, unit=False)
HIDDEN = Program("lava.hidden", delta, ("carried", "change"), ("shift",), (), stateless=True, unit=False)
DELTA = Program("lava.delta", delta, ("carried", "change"), ("shift",), (), stateless=True, unit=True)
LIBRARY_PROGRAMS = (RELU, SIGMA, RELAY, PRODUCT, HIDDEN, DELTA)

# --- formats ------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LibraryFormats:
    """Every choice that turns a CfC into library neurons; enough to build it again from other float parameters.

    knots: rectifiers per curve (even). depth: backbone layers. timespan: model units per sample.
    scales: per stage (backbone layers, then heads, layer after layer of a wired CfC), by name ("hidden"; "first", "second", "time"),
    (outputs,): the real value of one step of a weight.
    input, state, hidden: words of inputs, units and backbone layers, all Q.m. input_bound: |inputs| for which no sum overflows.
    """

    weight_bits: int
    mode: str
    activation: str
    input: QFormat
    state: QFormat
    hidden: QFormat
    knots: int
    scales: tuple[Mapping[str, FloatArray], ...]
    depth: int
    timespan: float
    accumulator_bits: int = 24
    input_bound: float = 0.0
    irregular: bool = False

    @property
    def ticks_per_sample(self) -> int:
        """As many as a unit's state takes back to it."""
        return HOPS * (self.depth + 1)

    @property
    def weight_step(self) -> int:
        """Signed weights are even; chips with fewer weight bits drop the low ones."""
        return 2 << (8 - self.weight_bits)


@dataclass(frozen=True, eq=False)
class Stage:
    """One dense map and its curves: weight (outputs, columns) and bias (outputs,) by name of the map. layer: of a wired CfC."""

    maps: Mapping[str, tuple[FloatArray, FloatArray]]
    layer: int

    @property
    def hidden(self) -> bool:
        """Whether it is a backbone layer."""
        return "hidden" in self.maps


def stages(network: LiquidNetwork, timespan: float) -> tuple[Stage, ...]:
    """The network's dense maps, those of the two time heads folded into one for this timespan."""
    values, found = effective(network), []
    sign = 1.0 if values.dialect == "torch" else -1.0
    for number, layer in enumerate(values.layers):
        found += [Stage({"hidden": dense}, number) for dense in layer.backbone]
        slope, level = layer.heads["time_a"], layer.heads["time_b"]
        time = (sign * timespan * slope[0] + level[0], sign * timespan * slope[1] + level[1])
        found.append(Stage({"first": layer.heads["ff1"], "second": layer.heads["ff2"], "time": time}, number))
    return tuple(found)


def curve_of(name: str, activation: str) -> tuple[Any, int]:
    """(the odd function that a map's bank draws, its fraction bits)."""
    if name == "time":
        return (lambda x: sigmoid(x) - 0.5), GATE
    return (ACTIVATIONS[activation] if name == "hidden" else np.tanh), VALUE


# --- populations and projections --------------------------------------------------------------------------------------------------------

Integers = Mapping[str, tuple[IntArray, IntArray]]  # by map: weights (outputs, columns), biases (outputs,) in units of the argument


def build_library(network: LiquidNetwork, formats: LibraryFormats) -> tuple[tuple[Population, ...], tuple[Projection, ...]]:
    """Populations and projections: "input", the chain "start_0", …, then per stage s "bank_s", "sum_s", "relay_s", "product_s" and deltas.

    The deltas of a layer's last stage are its units: "unit", or "layer_0", … with a wiring; those of a backbone layer are "hidden_s".
    """
    everything, sizes = stages(network, formats.timespan), layer_sizes(network)
    integers = [_integers(stage, number, formats) for number, stage in enumerate(everything)]
    levels = _levels(integers)
    channels = network.interface.channels or tuple(f"input_{number}" for number in range(network.inputs))
    period = formats.ticks_per_sample
    populations = [Population("input", "", network.inputs, {}, {}, formats.input, 0, formats.input.bits, 1, 0, period, channels)]
    chain, projections = _start_chain(levels, HOPS * (len(everything) - 1), formats)
    populations += chain
    below, first, layer = ("input", network.inputs), 0, -1
    for number, (stage, maps) in enumerate(zip(everything, integers)):
        name = f"hidden_{number}" if stage.hidden else "unit" if network.wiring is None else f"layer_{stage.layer}"
        sources = [below]
        if stage.layer != layer:  # the first stage of a layer hears the layer's own units, too
            layer, units = stage.layer, sizes[stage.layer][1]
            sources.append(("unit" if network.wiring is None else f"layer_{layer}", units))
        size = len(next(iter(maps.values()))[1])
        labels = tuple(f"{name}:{unit}" for unit in range(size)) if stage.hidden else network.labels[first : first + size]
        first += 0 if stage.hidden else size
        banks = {key: _rectifiers(key, formats.scales[number][key], formats) for key in maps}
        bank = _bank(number, banks, labels, formats)
        projections += _heard(sources, f"start_{HOPS * number}", bank.name, maps, levels, banks, formats)
        populations += [bank, *_behind(number, name, stage, labels, formats)]
        projections += _wires(number, name, stage, banks, size, formats)
        below = (name, size)
    return tuple(populations), tuple(projections)


def _integers(stage: Stage, number: int, formats: LibraryFormats) -> Integers:
    """Weights on the even grid; biases in units of the argument, whole."""
    step, found = formats.weight_step, {}
    for name, (weight, bias) in stage.maps.items():
        scale = formats.scales[number][name][:, None]
        integer = step * np.clip(round_half_up(weight / (step * scale)), -(254 // step), 254 // step)
        found[name] = whole(integer), whole(round_half_up(bias * 2.0**formats.input.fraction_bits / scale[:, 0]))
    return found


def _levels(integers: list[Integers]) -> tuple[int, int]:
    """What the two start compartments step to, so that even weights of them make every bias: coarse, fine."""
    largest = max((int(np.abs(bias).max(initial=0)) for maps in integers for _, bias in maps.values()), default=0)
    coarse = max(-(-largest // 254), 1)
    return coarse, max(-(-coarse // 254), 1)


def _bias_weights(bias: IntArray, levels: tuple[int, int], step: int) -> IntArray:
    """Weights (2, …) of the start compartments for these biases."""
    coarse = step * np.clip(whole(round_half_up(bias / (step * levels[0]))), -(254 // step), 254 // step)
    fine = step * np.clip(whole(round_half_up((bias - coarse * levels[0]) / (step * levels[1]))), -(254 // step), 254 // step)
    return np.stack([coarse, fine])


def _population(name: str, program: Program, parameters: Mapping[str, Any], labels: tuple[str, ...], **changes: Any) -> Population:
    """Neurons that have a turn at every tick, as the library's do."""
    size = len(labels)
    settings = {"state": WORD, "message_bits": WORD.bits, "first_tick": 0, **changes}
    numbers = {key: constant(value, size) for key, value in parameters.items()}
    return Population(name, program.name, size, numbers, {}, message_shift=0, threshold=1, period=1, labels=labels, **settings)


def _start_chain(levels: tuple[int, int], length: int, formats: LibraryFormats) -> tuple[list[Population], list[Projection]]:
    """The two start compartments, and as many copies of them, each a tick later than the one before, as later stages wait for."""
    labels = ("coarse", "fine")
    first = _population("start_0", RELU, {"bias": np.array(levels), "rest": 0}, labels)
    others = [_population(f"start_{number}", RELU, {"bias": 0, "rest": 0}, labels) for number in range(1, length + 1)]
    one = np.eye(2, dtype=np.int64)
    wires = [_wire(f"start_{number}", f"start_{number + 1}", "value", one, formats, "excitatory") for number in range(length)]
    return [first, *others], wires


@dataclass(frozen=True, eq=False)
class Rectifiers:
    """The banks of one map: knots (outputs, K) in units of the argument, weights (outputs, K) of their slopes; 0 where there are fewer."""

    knots: IntArray
    weights: IntArray


def _rectifiers(name: str, scale: FloatArray, formats: LibraryFormats) -> Rectifiers:
    function, fraction = curve_of(name, formats.activation)
    knots, weights = (np.zeros((len(scale), formats.knots), dtype=np.int64) for _ in range(2))
    for row, unit in enumerate(2.0**formats.input.fraction_bits / scale):  # steps of the argument that make 1
        bank = bank_of(function, formats.knots, formats.weight_step * float(unit) * 2.0**-fraction)
        count = len(bank.knots)
        knots[row, :count] = whole(round_half_up(np.array(bank.knots) * unit))
        weights[row, :count] = formats.weight_step * np.array(bank.steps)
    return Rectifiers(knots, weights)


def _bank(number: int, banks: Mapping[str, Rectifiers], labels: tuple[str, ...], formats: LibraryFormats) -> Population:
    """All rectifiers of a stage: map after map, output after output, knot after knot."""
    bias = -np.concatenate([bank.knots.reshape(-1) for bank in banks.values()])
    names = tuple(f"{label}:{name}:{knot}" for name in banks for label in labels for knot in range(formats.knots))
    return _population(f"bank_{number}", RELU, {"bias": bias, "rest": np.maximum(bias, 0)}, names)


def _heard(
    sources: list[tuple[str, int]],
    start: str,
    bank: str,
    maps: Integers,
    levels: tuple[int, int],
    banks: Mapping[str, Rectifiers],
    formats: LibraryFormats,
) -> list[Projection]:
    """Every rectifier of an output hears what the output hears; biases come from the start compartments."""
    used = np.concatenate([bank.weights.reshape(-1) != 0 for bank in banks.values()])
    weight = np.concatenate([np.repeat(weight, formats.knots, axis=0) for weight, _ in maps.values()]).T * used
    bias = np.concatenate([np.repeat(bias, formats.knots) for _, bias in maps.values()]) * used
    found, begin = [], 0
    for name, size in sources:
        found.append(_wire(name, bank, "value", weight[begin : begin + size], formats))
        begin += size
    found.append(_wire(start, bank, "value", _bias_weights(bias, levels, formats.weight_step), formats))
    return [wire for wire in found if len(wire.weight)]


def _wire(source: str, target: str, port: str, matrix: IntArray, formats: LibraryFormats, mode: str = "mixed") -> Projection:
    """The synapses of a matrix (source, target); 0 is none. Excitatory ones pass values on, with a weight of 1 out of 255."""
    pre, post = np.nonzero(matrix)
    return Projection(source, target, port, pre, post, matrix[pre, post], mode, 8 if mode == "excitatory" else formats.weight_bits)


def _behind(number: int, name: str, stage: Stage, labels: tuple[str, ...], formats: LibraryFormats) -> list[Population]:
    """Sums, relay, product and deltas of a stage. The starts of the sums round to the nearest what the shifts behind them floor."""
    step, size = 1 << (VALUE - formats.input.fraction_bits), len(labels)
    last = VALUE - HALVING - formats.input.fraction_bits
    relays = _population(f"relay_{number}", RELAY, {"shift": HALVING}, tuple(f"{label}:relay" for label in labels))
    begin = 1 + HOPS * number - (formats.ticks_per_sample - HOPS)  # the turns of a sample end with the one that gives its state
    if stage.hidden:
        sums = _population(f"sum_{number}", SIGMA, {"start": step // 2}, tuple(f"{label}:sum" for label in labels))
        return [sums, relays, _population(name, HIDDEN, {"shift": last}, labels, state=formats.hidden, message_bits=formats.hidden.bits)]
    start = np.repeat([step - (1 << HALVING), 0, 1 << (GATE - 1)], size)
    sums = _population(
        f"sum_{number}", SIGMA, {"start": start}, tuple(f"{label}:{part}" for part in ("carried", "change", "share") for label in labels)
    )
    products = {"shift": HALVING, "product_shift": GATE - HALVING}
    return [
        sums,
        relays,
        _population(f"product_{number}", PRODUCT, products, tuple(f"{label}:product" for label in labels)),
        _population(name, DELTA, {"shift": last}, labels, state=formats.state, message_bits=formats.state.bits, first_tick=max(begin, 0)),
    ]


def _wires(number: int, name: str, stage: Stage, banks: Mapping[str, Rectifiers], size: int, formats: LibraryFormats) -> list[Projection]:
    """From the bank to the sums, from there to relay and product, from these to the deltas."""
    blocks = {key: _block(bank.weights) for key, bank in banks.items()}
    one = np.eye(size, dtype=np.int64)
    bank, sums, relay_, product_ = (f"{part}_{number}" for part in ("bank", "sum", "relay", "product"))
    arrives = [_wire(relay_, name, "carried", one, formats, "excitatory")]
    if stage.hidden:
        return [_wire(bank, sums, "value", blocks["hidden"], formats), _wire(sums, relay_, "value", one, formats, "excitatory"), *arrives]
    none = np.zeros_like(blocks["first"])
    change = [-blocks["first"] if formats.mode == "default" else none, blocks["second"]]
    matrix = np.block([[blocks["first"], change[0], none], [none, change[1], none], [none, none, blocks["time"]]])
    empty = np.zeros_like(one)
    return [
        _wire(bank, sums, "value", matrix, formats),
        _wire(sums, relay_, "value", np.vstack([one, empty, empty]), formats, "excitatory"),
        _wire(sums, product_, "share", np.vstack([empty, empty, one]), formats, "excitatory"),
        _wire(sums, product_, "change", np.vstack([empty, one, empty]), formats, "excitatory"),
        *arrives,
        _wire(product_, name, "change", one, formats, "excitatory"),
    ]


def _block(weights: IntArray) -> IntArray:
    """(outputs K, outputs): every output's sum hears its own rectifiers."""
    outputs, knots = weights.shape
    matrix = np.zeros((outputs, knots, outputs), dtype=np.int64)
    matrix[np.arange(outputs), :, np.arange(outputs)] = weights
    return matrix.reshape(outputs * knots, outputs)
