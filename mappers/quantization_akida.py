"""Quantisation of a CfC for chips of dense layers with step-wise bounded ReLU (Akida 1 class): which ranges, steps and scales.

The rounding itself is that of `liquid_neuro.cells.cfc_heads`. Here the float network runs over calibration samples, and every format is the
one of a short list of candidates that loses least there: a code range by the error of what the codes are used for (tanh, the gate, the
state), a weight scale by the error of the pre-activation that its rounding causes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware_profiles.fixed_point import QFormat
from hardware_profiles.profile import HardwareProfile
from liquid_neuro.cells import cfc_heads_build as build
from liquid_neuro.cells.cfc import backbone_depth, layer_sizes
from liquid_neuro.cells.cfc_heads import CodeFormat, DenseFormat, HeadFormats, HeadLayerFormats, highest_activation_step
from liquid_neuro.cells.functions import sigmoid
from liquid_neuro.network import CfCSettings, ClosedForm, FloatArray, LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork

QUANTILES = (0.0, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1)
SCALES = tuple(np.linspace(1.0, 0.4, 25))
MOST_ROWS = 8192  # calibration samples that the searches look at


@dataclass(frozen=True, eq=False)
class _LayerTrace:
    """What one layer of the float network saw: dense layer -> its input (rows, inputs) and pre-activation (rows, outputs); new states."""

    inputs: dict[str, FloatArray]
    drives: dict[str, FloatArray]
    state: FloatArray


def quantize_akida(
    network: LiquidNetwork,
    profile: HardwareProfile,
    calibration: npt.ArrayLike | None = None,
    *,
    input_range: Any = None,
    bits: int | Mapping[str, int] | None = None,
    formats: HeadFormats | None = None,
    timespan: float = 1.0,
) -> QuantizedNetwork:
    """A CfC as dense 4-bit heads for the chip and integer gates for the host.

    calibration: samples as the network sees them, (windows, time, inputs) or (time, inputs); without them, uniform noise over input_range.
    input_range: (lowest, highest) of the inputs, numbers or one per channel; from the calibration samples when left out.
    bits: weight bits, or by name: "weights", "activations"; the profile's widest when left out.
    formats: the choices of an earlier quantisation, kept as they are.
    timespan: elapsed time per calibration sample in model units.
    Raises ValueError where the network has something that the chip lacks.
    """
    _check(network, profile)
    settings = network.settings
    assert isinstance(settings, CfCSettings)
    if formats is None:
        weight_bits, activation_bits = _bits(profile, bits)
        x = _calibration_samples(network, calibration, input_range)
        formats = _choose(network, x, input_range, weight_bits, activation_bits, timespan)
    elif len(formats.layers) != len(layer_sizes(network)):
        raise ValueError(f"formats must be for a CfC of {len(layer_sizes(network))} layers, but are for {len(formats.layers)}")
    values = build.dense_values(network, network.parameters)
    populations, projections = build.build_integer(network, values, formats)
    projected = formats.projection is not None
    return QuantizedNetwork(
        network=network,
        profile=profile.name,
        kind="akida",
        target=ClosedForm(),
        formats=formats,
        ticks_per_sample=1,
        read_tick=0,
        accumulator_bits=profile.accumulator_bits,
        populations=populations,
        projections=projections,
        input_format=formats.input_word,
        output_population="output" if projected else f"{formats.layers[-1].name}.state",
        output_compartments=np.arange(network.outputs),
        output_gain=np.ones(network.outputs),
        output_offset=np.zeros(network.outputs),
        notes={**build.host_work(populations, projections), "weights_rounded_to_zero": build.lost_weights(network, values, projections)},
    )


# --- what the chip lacks --------------------------------------------------------------------------------------------------------------


def _check(network: LiquidNetwork, profile: HardwareProfile) -> None:
    settings = network.settings
    if network.cell != "cfc" or not isinstance(settings, CfCSettings):
        raise ValueError(
            f"network.cell must be cfc for {profile.name}, whose dense layers have no place for synaptic sigmoids, "
            f"but is {network.cell}; train a CfC"
        )
    if network.mixed_memory:
        raise ValueError(f"network must be without mixed memory for {profile.name}, but has an LSTM cell; train a CfC without it")
    if settings.mode == "pure":
        raise ValueError(f"network.settings.mode must be default or no_gate for {profile.name}, but is pure; train with mode default")
    backbone = backbone_depth(network)
    if backbone and settings.activation != "relu":
        raise ValueError(
            f"network.settings.activation must be relu for {profile.name}, whose only activation is a step-wise bounded ReLU, but is "
            f"{settings.activation} in {backbone} backbone layer{'s' if backbone > 1 else ''}; "
            "train with activation relu or without a backbone"
        )


def _bits(profile: HardwareProfile, bits: int | Mapping[str, int] | None) -> tuple[int, int]:
    """Weight and activation bits: what was asked for, else the widest of the chip."""
    asked = {} if bits is None else dict(bits) if isinstance(bits, Mapping) else {"weights": bits}
    choices = {"weights": profile.weight_bits_choices, "activations": profile.activation_bits_choices}
    for name, value in asked.items():
        if name not in choices:
            raise ValueError(f'bits must name some of weights, activations for {profile.name}, but names "{name}"')
        if not isinstance(value, (int, np.integer)) or value not in choices[name]:
            raise ValueError(f'bits["{name}"] must be one of {", ".join(map(str, choices[name]))} for {profile.name}, but is {value}')
    return asked.get("weights", profile.weight_bits), asked.get("activations", profile.activation_bits)


# --- calibration ----------------------------------------------------------------------------------------------------------------------


def _calibration_samples(network: LiquidNetwork, calibration: npt.ArrayLike | None, input_range: Any) -> FloatArray:
    if calibration is None:
        if input_range is None:
            raise ValueError(
                "calibration must be given for this chip, or input_range, but neither is; give samples as the network sees them"
            )
        lowest, highest = _range(input_range, network.inputs)
        return np.random.default_rng(0).uniform(lowest, highest, (64, 32, network.inputs))
    x = np.asarray(calibration, dtype=np.float64)
    x = x[None] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[-1] != network.inputs or x.size == 0:
        raise ValueError(f"calibration must have the shape (windows, time, {network.inputs}), but has {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("calibration must be finite, but has a value that is not; leave such rows out")
    return x


def _range(input_range: Any, inputs: int) -> tuple[FloatArray, FloatArray]:
    lowest, highest = (np.broadcast_to(np.asarray(end, dtype=np.float64), (inputs,)) for end in input_range)
    if not (highest > lowest).all():
        raise ValueError("input_range must be (lowest, highest) with lowest below highest, but is not")
    return lowest, highest


def _choose(
    network: LiquidNetwork, x: FloatArray, input_range: Any, weight_bits: int, activation_bits: int, timespan: float
) -> HeadFormats:
    traces = _trace(network, x, timespan)
    rows = x.reshape(-1, network.inputs)
    input_codes = _codes(rows[_subset(len(rows))], activation_bits, None if input_range is None else _range(input_range, network.inputs))
    keras = isinstance(network.settings, CfCSettings) and network.settings.dialect == "keras"
    bound = max(1.0, *(float(np.abs(trace.state).max()) for trace in traces)) if keras else 1.0
    if isinstance(network.settings, CfCSettings) and network.settings.mode == "no_gate":
        bound *= 2.0
    state_word = QFormat(16, 15 - _integer_bits(bound))
    layers, previous = [], input_codes
    for values, trace, name in zip(build.dense_values(network, network.parameters), traces, build.layer_names(network)):
        state = _codes(trace.state, activation_bits, None)
        layers.append(_layer(name, values, trace, previous, state, weight_bits, activation_bits, timespan, keras))
        previous = state
    span = max(float(np.abs(end).max()) for end in _ends(input_codes))
    input_word = QFormat(16, 15 - _integer_bits(span))
    projection = None
    if "fc.weight" in network.parameters:
        projection = QFormat(16, 15 - _integer_bits(float(np.abs(network.parameters["fc.weight"]).max())))
    return HeadFormats(weight_bits, activation_bits, input_word, state_word, input_codes, tuple(layers), projection)


def _integer_bits(bound: float) -> int:
    """Bits left of the point for magnitudes up to the bound, with one bit to spare so that training may move it."""
    return int(np.ceil(np.log2(max(bound, 2.0**-8)))) + 1


def _ends(codes: CodeFormat) -> tuple[FloatArray, FloatArray]:
    origin, step = np.array(codes.origin), np.array(codes.step)
    return origin, origin + step * codes.highest


def _subset(rows: int) -> slice:
    return slice(None, None, max(1, rows // MOST_ROWS))


def _trace(network: LiquidNetwork, x: FloatArray, timespan: float) -> list[_LayerTrace]:
    """The float network over the calibration windows, each from state 0, with everything that passes between its layers."""
    settings = network.settings
    assert isinstance(settings, CfCSettings)
    layers = build.dense_values(network, network.parameters)
    states = [np.zeros((len(x), units)) for _, units in layer_sizes(network)]
    seen: list[list[_LayerTrace]] = [[] for _ in layers]
    for k in range(x.shape[1]):
        below = x[:, k]
        for number, layer in enumerate(layers):
            inputs, drives = _dense(layer, np.concatenate([below, states[number]], axis=1))
            below = states[number] = _gate(drives, settings, timespan)
            seen[number].append(_LayerTrace(inputs, drives, below))
    return [_joined(steps, _subset(len(steps) * len(x))) for steps in seen]


def _joined(steps: list[_LayerTrace], keep: slice) -> _LayerTrace:
    """The rows of all steps, thinned out."""

    def join(arrays: list[FloatArray]) -> FloatArray:
        return np.concatenate(arrays)[keep]

    names = list(steps[0].inputs)
    inputs = {name: join([step.inputs[name] for step in steps]) for name in names}
    drives = {name: join([step.drives[name] for step in steps]) for name in names}
    return _LayerTrace(inputs, drives, join([step.state for step in steps]))


def _dense(layer: Any, z: FloatArray) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    inputs, drives = {}, {}
    for name, (weight, bias) in layer.items():
        inputs[name] = z
        drives[name] = z @ weight.T + bias
        if name.startswith("backbone"):
            z = np.maximum(drives[name], 0.0)
    return inputs, drives


def _gate(drives: dict[str, FloatArray], settings: CfCSettings, timespan: float) -> FloatArray:
    keras = settings.dialect == "keras"
    first, second = (drives[name] if keras else np.tanh(drives[name]) for name in ("ff1", "ff2"))
    gate = sigmoid((-1.0 if keras else 1.0) * drives["time_a"] * timespan + drives["time_b"])
    return first + gate * second if settings.mode == "no_gate" else first + gate * (second - first)


# --- the searches ---------------------------------------------------------------------------------------------------------------------


def _codes(values: FloatArray, bits: int, fixed: tuple[FloatArray, FloatArray] | None) -> CodeFormat:
    """Codes for the columns of `values` (rows, channels): the range with the least squared error, the commoner end at code 0."""
    highest = (1 << bits) - 1
    origins, steps = [], []
    for channel, column in enumerate(values.T):
        if fixed is None:
            candidates = ((low, high, _mean_square(_coded(column, low, high, highest) - column)) for low, high in _candidates(column))
            low, high, _ = min(candidates, key=lambda item: item[2])
        else:
            low, high = float(fixed[0][channel]), float(fixed[1][channel])
        step = (high - low) / highest
        codes = np.clip(np.floor((column - low) / step + 0.5), 0, highest)
        if np.count_nonzero(codes == highest) > np.count_nonzero(codes == 0):
            low, step = high, -step
        origins.append(float(low))
        steps.append(float(step))
    return CodeFormat(bits, tuple(origins), tuple(steps))


def _candidates(values: FloatArray, least: float = 1e-3) -> Iterator[tuple[float, float]]:
    """Ranges whose ends are quantiles of the values; never narrower than `least`."""
    lows, highs = np.quantile(values, QUANTILES), np.quantile(values, [1.0 - q for q in QUANTILES])
    for low in dict.fromkeys(map(float, lows)):
        for high in dict.fromkeys(map(float, highs)):
            missing = max(0.0, least - (high - low)) / 2
            yield low - missing, high + missing


def _coded(values: FloatArray, low: float, high: float, highest: int) -> FloatArray:
    step = (high - low) / highest
    result: FloatArray = low + step * np.clip(np.floor((values - low) / step + 0.5), 0, highest)
    return result


def _mean_square(values: FloatArray) -> float:
    return float(np.mean(np.square(values)))


def _layer(
    name: str, values: Any, trace: _LayerTrace, previous: CodeFormat, state: CodeFormat, weight_bits: int, activation_bits: int,
    timespan: float, keras: bool,
) -> HeadLayerFormats:  # fmt: skip
    highest = (1 << activation_bits) - 1
    step = np.array(previous.step + state.step)
    formats: dict[str, DenseFormat] = {}
    for dense, (weight, _) in values.items():
        ends = [_range_of(dense, trace.drives, unit, highest, timespan, keras) for unit in range(len(weight))]
        origin, code_step = np.array([low for low, _ in ends]), np.array([(high - low) / highest for low, high in ends])
        steps = _activation_steps(weight, trace.inputs[dense], step, code_step, weight_bits, highest_activation_step(activation_bits))
        formats[dense] = DenseFormat(tuple(origin.tolist()), tuple(code_step.tolist()), steps)
        if dense.startswith("backbone"):
            step = code_step
    backbone = tuple(formats[dense] for dense in formats if dense.startswith("backbone"))
    return HeadLayerFormats(name, backbone, formats["ff1"], formats["ff2"], formats["time_a"], formats["time_b"], state)


def _range_of(dense: str, drives: dict[str, FloatArray], unit: int, highest: int, timespan: float, keras: bool) -> tuple[float, float]:
    """The range of an output's pre-activations whose codes lose least behind what comes next: ReLU, tanh, or the gate."""
    values = drives[dense][:, unit]
    sign = -1.0 if keras else 1.0
    after: Callable[[FloatArray], FloatArray]
    if dense.startswith("backbone"):
        return 0.0, min(
            (max(float(high), 1e-3) for high in np.quantile(values, [1.0 - q for q in QUANTILES])),
            key=lambda high: _mean_square(_coded(values, 0.0, high, highest) - np.maximum(values, 0.0)),
        )
    if dense == "time_a":
        after = lambda a: sigmoid(sign * a * timespan + drives["time_b"][:, unit])
    elif dense == "time_b":
        after = lambda b: sigmoid(sign * drives["time_a"][:, unit] * timespan + b)
    else:
        after = (lambda f: f) if keras else np.tanh
    exact = after(values)
    return min(_candidates(values, 0.05), key=lambda ends: _mean_square(after(_coded(values, ends[0], ends[1], highest)) - exact))


def _activation_steps(
    weight: FloatArray, z: FloatArray, step: FloatArray, code_step: FloatArray, weight_bits: int, highest_step: int
) -> tuple[int, ...]:
    """Per output, the integer number of weight units per code whose rounded weights disturb the pre-activation least (E δᵀ z zᵀ δ)."""
    limit = max((1 << (weight_bits - 1)) - 1, 1)
    lowest = 0 if weight_bits == 1 else -limit
    moment = z.T @ z / len(z)
    chosen = []
    for row, one_code in zip(weight, code_step):
        folded = row * step
        largest = max(float(np.abs(folded).max()), 1e-12)
        counts = np.unique(np.clip(np.floor(one_code * limit / (largest * np.array(SCALES)) + 0.5), 1, highest_step))
        scale = one_code / counts[:, None]
        wrong = np.clip(np.floor(folded / scale + 0.5), lowest, limit) * scale / step - row
        chosen.append(int(counts[np.argmin(np.einsum("ci,ij,cj->c", wrong, moment, wrong))]))
    return tuple(chosen)
