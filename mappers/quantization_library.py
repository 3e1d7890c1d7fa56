"""Formats of a CfC in integers from library neurons alone (liquid_neuro/cells/cfc_library.py says what they compute)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from event_sim.fixed import run_samples
from hardware_profiles import HardwareProfile
from hardware_profiles.fixed_point import QFormat
from liquid_neuro.cells.cfc import backbone_depth, effective, settings_of
from liquid_neuro.cells.cfc_library import HOPS, LibraryFormats, Stage, build_library, curve_of, stages
from liquid_neuro.cells.rectifiers import bank_of
from liquid_neuro.dynamics import integrate
from liquid_neuro.network import ClosedForm, FloatArray, LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers.quantization import Choices, check_messages, choices_of, integer_bits, sum_bits, weight_bits

MEASURED_WINDOWS, MEASURED_SAMPLES = 8, 64
MESSAGE_FRACTION, FEWEST_MESSAGE_FRACTION = 7, 4
CURVE_STEPS = 6
CURVES = {"lecun_tanh": 1.7159, "tanh": 1.0}  # backbone activations that level off, and where


def quantize_library(
    network: LiquidNetwork,
    profile: HardwareProfile,
    *,
    calibration: Any = None,
    input_range: Any = None,
    knots: int = 16,
    bits: Any = None,
    timespan: float | None = None,
) -> QuantizedNetwork:
    """A CfC in integers, built only from neurons that Lava's own library has: no tables, no custom neuron program.

    knots: rectifiers per curve, even, at least 2; more are closer and cost a compartment each (3 knots + 6 per unit). Other arguments are
    those of `quantize`; bits by name: "weights", "message". Ticks per sample: 4 per backbone layer and 4 for the heads.
    ValueError says in one sentence what cannot be built so: an LTC, mixed memory, mode pure, the Keras dialect, irregular time, activations
    that do not level off.
    """
    if isinstance(knots, bool) or not isinstance(knots, (int, np.integer)) or knots < 2 or knots % 2:
        raise ValueError(f"knots must be an even whole number of at least 2, but is {knots!r}")
    if profile.kind != "loihi":
        raise ValueError(f'profile.kind must be "loihi" for library neurons, but is "{profile.kind}" ({profile.name}); choose loihi2')
    _check(network)
    choices = choices_of(network, calibration, input_range=input_range, bits=bits, timespan=timespan)
    if choices.irregular:
        raise ValueError(
            "samples must all last equally long for library neurons, but do not; resample the stream, or use programs of irregular time"
        )
    if "state" in choices.bits:
        raise ValueError('bits must name "weights" or "message" for library neurons, whose states are their messages, but names "state"')
    fraction = MESSAGE_FRACTION
    if "message" in choices.bits:
        fraction = choices.bits["message"] - 2
    formats = _formats(network, profile, choices, int(knots), fraction)
    while "message" not in choices.bits and formats is None and fraction > FEWEST_MESSAGE_FRACTION:
        fraction -= 1
        formats = _formats(network, profile, choices, int(knots), fraction)
    if formats is None:
        raise ValueError(
            f"messages must have at least {FEWEST_MESSAGE_FRACTION} fraction bits, but {sum_bits(profile)}-bit sums do not hold what the "
            "network hears so finely; reduce the range of the inputs, the fan-in or the bits"
        )
    return _built(network, profile, choices, formats)


def library_choices(quantized: QuantizedNetwork) -> dict[str, Any]:
    """Arguments of `quantize_library` that ask for the inputs, weights and time of a CfC that was quantised otherwise."""
    formats = quantized.formats
    _check(quantized.network)
    return {
        "input_range": (-formats.input_bound, formats.input_bound),
        "bits": {"weights": formats.weight_bits},
        "timespan": formats.timespan,
    }


def _check(network: LiquidNetwork) -> None:
    if network.cell != "cfc":
        raise ValueError(
            f"network must be a CfC to be built from library neurons, but is an {network.cell.upper()}, "
            "whose update needs a custom neuron program"
        )
    settings = settings_of(network)
    if network.mixed_memory:
        raise ValueError("network must be without mixed memory to be built from library neurons, but has an LSTM cell")
    if settings.mode == "pure":
        raise ValueError("settings.mode must be default or no_gate for library neurons, but is pure, which needs a custom neuron program")
    if settings.dialect != "torch":
        raise ValueError(f"settings.dialect must be torch for library neurons, but is {settings.dialect}, whose heads level off nowhere")
    if backbone_depth(network) and settings.activation not in CURVES:
        raise ValueError(
            f"settings.activation must be {' or '.join(CURVES)} for library neurons, but is {settings.activation}; retrain with one of them"
        )


def _formats(network: LiquidNetwork, profile: HardwareProfile, choices: Choices, knots: int, fraction: int) -> LibraryFormats | None:
    """Formats with messages of so many fraction bits; None where no scale holds weights, sums and slopes at once."""
    settings, bits = settings_of(network), weight_bits(choices, profile)
    bound = 2.0 if settings.mode == "no_gate" else 1.0
    highest = 1.0 if not backbone_depth(network) else CURVES[settings.activation]
    scales, layer = [], -1
    ranges = np.full(network.inputs, choices.input_bound)
    units = effective(network).layers
    for stage in stages(network, choices.timespan):
        if stage.layer != layer:
            layer = stage.layer
            ranges = np.append(ranges, np.full(units[layer].units, bound))
        found = {
            name: _scale(name, weight, ranges, settings.activation, bits, knots, fraction, profile)
            for name, (weight, _) in stage.maps.items()
        }
        if any(scale is None for scale in found.values()):
            return None
        scales.append({name: scale for name, scale in found.items() if scale is not None})
        ranges = np.full(_outputs(stage), highest if stage.hidden else bound)
    return LibraryFormats(
        weight_bits=bits,
        mode=settings.mode,
        activation=settings.activation,
        input=QFormat(max(integer_bits(choices.input_bound) + 1 + fraction, 2), fraction),
        state=QFormat((3 if settings.mode == "no_gate" else 2) + fraction, fraction),
        hidden=QFormat(2 + fraction, fraction),
        knots=knots,
        scales=tuple(scales),
        depth=backbone_depth(network),
        timespan=choices.timespan,
        accumulator_bits=sum_bits(profile),
        input_bound=choices.input_bound,
    )


def _outputs(stage: Stage) -> int:
    return len(next(iter(stage.maps.values()))[1])


def _scale(
    name: str, weight: FloatArray, ranges: FloatArray, activation: str, bits: int, knots: int, fraction: int, profile: HardwareProfile
) -> FloatArray | None:
    """Per output the smallest scale that holds its weights, its sum and fine enough slopes; None where slopes then leave their weights."""
    step, (function, curve) = 2 << (8 - bits), curve_of(name, activation)
    highest, room = 254 - 254 % step, 2.0 ** (sum_bits(profile) - 2)  # half the word: rectifiers add their knots to the sum
    finest = 2.0 ** (curve - CURVE_STEPS - (2 if name == "time" else 0)) * 2 / step  # steps of the argument that make 1, at most
    sums = (np.abs(weight) @ (ranges + 2.0**-fraction)) * 2.0**fraction
    rounding = step / 2 * (ranges.sum() + len(ranges)) * 2.0**fraction
    if rounding >= room / 2:
        return None
    largest = np.abs(weight).max(axis=1, initial=0.0)
    scale = np.maximum(np.maximum(largest / highest, sums / (room - rounding)), 2.0**fraction / finest)
    for unit in np.unique(2.0**fraction / scale):
        if max(np.abs(bank_of(function, knots, step * float(unit) * 2.0**-curve).steps)) * step > 254:
            return None
    return np.asarray(scale)


def _built(network: LiquidNetwork, profile: HardwareProfile, choices: Choices, formats: LibraryFormats) -> QuantizedNetwork:
    populations, projections = build_library(network, formats)
    last, projection = populations[-1], effective(network).projection
    quantized = QuantizedNetwork(
        network=network,
        profile=profile.name,
        kind=profile.kind,
        target=ClosedForm(),
        formats=formats,
        ticks_per_sample=formats.ticks_per_sample,
        read_tick=formats.ticks_per_sample - 1 + last.first_tick,
        accumulator_bits=formats.accumulator_bits,
        populations=populations,
        projections=projections,
        input_format=formats.input,
        output_population=last.name,
        output_compartments=np.arange(last.size),
        output_gain=np.ones(last.size) if projection is None else np.array(projection[0]),
        output_offset=np.zeros(last.size) if projection is None else np.array(projection[1]),
        notes={
            "neurons": f"library neurons alone: {formats.knots} rectifiers per curve, {HOPS} ticks per stage",
            "weights": f"{formats.weight_bits} bits, one scale per unit and head",
            "messages": f"{formats.input.fraction_bits} fraction bits",
            "inputs": f"{formats.input}: up to {choices.input_bound:.4g} ({choices.input_bound_from})",
            "timespan": f"{choices.timespan:g} model units per sample, folded into the time head",
        },
    )
    check_messages(quantized, profile, choices)
    return replace(quantized, notes={**quantized.notes, **_error(quantized, choices)})


def _error(quantized: QuantizedNetwork, choices: Choices) -> dict[str, Any]:
    """The note "error" as `quantize` writes it, measured on some windows of the calibration; nothing without one."""
    if not choices.windows:
        return {}
    windows = choices.windows[:MEASURED_WINDOWS]
    length = min(MEASURED_SAMPLES, *(len(window) for window in windows))
    x = np.stack([window[:length] for window in windows])
    y, _ = integrate(quantized.network, x, np.full(x.shape[:2], choices.timespan))
    rms, spread = float(np.sqrt(np.mean(np.square(run_samples(quantized, x) - y)))), float(y.std())
    share = rms / spread if spread else None
    return {"error": {"target": str(quantized.target), "rms": rms, "of_output_std": share, "samples": x.shape[0] * x.shape[1]}}
