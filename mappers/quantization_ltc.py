"""Formats of an LTC in integers: scales from the weights, words from the invariant box, gate bits from fan-in, means from calibration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hardware_profiles import HardwareProfile
from hardware_profiles.fixed_point import QFormat
from liquid_neuro.cells.functions import sigmoid
from liquid_neuro.cells.integer import ARGUMENT_FRACTION, ratio_at_least
from liquid_neuro.cells.ltc import LTCValues, Prepared, effective, fused_step
from liquid_neuro.cells.ltc_build import build_integer
from liquid_neuro.cells.ltc_integer import HIGHEST_SUM, LTCFormats, integer_parameters
from liquid_neuro.network import FloatArray, Fused, LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers.quantization import Choices, integer_bits, sum_bits, weight_bits

MOST_GATE_BITS, FEWEST_GATE_BITS = 10, 4
MESSAGE_FRACTION = 10
STAGNATION_GOAL, STAGNATION_LIMIT = 0.0025, 0.01  # of the state's span


@dataclass(frozen=True, eq=False)
class Ranges:
    """What the network's states and gates do. lowest, highest: the invariant box. seen: the largest |state| in calibration, or 0.

    gate_mean, sensory_gate_mean: per synapse; None without calibration.
    """

    lowest: float
    highest: float
    seen: float
    gate_mean: FloatArray | None
    sensory_gate_mean: FloatArray | None


def quantize_ltc(
    network: LiquidNetwork, profile: HardwareProfile, choices: Choices, formats: Any, ticks_per_sample: int | None
) -> QuantizedNetwork:
    """See `quantize`."""
    if not isinstance(network.solver, Fused):
        raise ValueError(
            f'network.solver must be fused to run in integers, but is {network.solver}; use network.with_solver("fused") or retrain it so'
        )
    values = effective(network)
    _check_parameters(network, values)
    ranges = _ranges(network, values, choices)
    notes: dict[str, Any] = {}
    if formats is None:
        formats, notes = _choose(network, profile, values, choices, ranges)
    elif not isinstance(formats, LTCFormats) or len(formats.gate_mean) != len(values.w) or formats.unfolds != network.solver.unfolds:
        raise ValueError("formats must come from an LTC with this wiring and solver, but do not; quantise without formats")
    else:
        formats = _changed(formats, choices)
    if ticks_per_sample not in (None, formats.ticks_per_sample):
        raise ValueError(
            f"ticks_per_sample must be {formats.ticks_per_sample} for {network.solver} (gates settle on every second tick), "
            f"but is {ticks_per_sample}; change the solver's unfolds"
        )
    populations, projections = build_integer(network, formats)
    return QuantizedNetwork(
        network=network,
        profile=profile.name,
        kind=profile.kind,
        target=network.solver,
        formats=formats,
        ticks_per_sample=formats.ticks_per_sample,
        read_tick=formats.ticks_per_sample,
        accumulator_bits=formats.accumulator_bits,
        populations=populations,
        projections=projections,
        input_format=formats.input,
        output_population="neuron",
        output_compartments=np.arange(network.outputs),
        output_gain=np.array(values.output_w),
        output_offset=np.array(values.output_b),
        notes={**notes, **_losses(network, values, formats, ranges)},
    )


def _check_parameters(network: LiquidNetwork, values: LTCValues) -> None:
    for name in ("w", "sensory_w", "gleak", "cm"):
        array = getattr(values, name)
        if (array < 0).any():
            raise ValueError(
                f"{name} must not be negative to run in integers, but is {array.min():g} at {int(array.argmin())}; clip it to 0"
            )


# --- what the float network does --------------------------------------------------------------------------------------------------------


def _ranges(network: LiquidNetwork, values: LTCValues, choices: Choices) -> Ranges:
    """The box that no state leaves (each step is a mean of the state, vleak and the reversal potentials), and calibration."""
    drives = [values.vleak, values.erev[values.w > 0], values.sensory_erev[values.sensory_w > 0]]
    lowest, highest = min(0.0, *(d.min(initial=0.0) for d in drives)), max(0.0, *(d.max(initial=0.0) for d in drives))
    if not choices.windows:
        return Ranges(lowest, highest, 0.0, None, None)
    assert isinstance(network.solver, Fused)
    prepared, unfolds = Prepared(values), network.solver.unfolds
    gates, sensory = np.zeros(len(values.w)), np.zeros(len(values.sensory_w))
    seen, steps = 0.0, 0
    by_length: dict[int, list[FloatArray]] = {}
    for window in choices.windows:
        by_length.setdefault(len(window), []).append(window)
    for windows in by_length.values():
        x = np.stack(windows)
        v = np.zeros((len(x), network.units))
        timespan = np.full(len(x), choices.timespan / unfolds)
        for k in range(x.shape[1]):
            u = (x[:, k] * values.input_w + values.input_b)[:, values.sensory_source]
            sensory += sigmoid(values.sensory_sigma * (u - values.sensory_mu)).sum(axis=0)
            for _ in range(unfolds):
                gates += sigmoid(values.sigma * (v[:, values.source] - values.mu)).sum(axis=0) / unfolds
                v = fused_step(prepared, v, x[:, k], timespan, 1)
                seen = max(seen, float(np.abs(v).max()))
        steps += x.shape[0] * x.shape[1]
    return Ranges(lowest, highest, seen, gates / steps, sensory / steps)


# --- choosing ---------------------------------------------------------------------------------------------------------------------------


def _choose(
    network: LiquidNetwork, profile: HardwareProfile, values: LTCValues, choices: Choices, ranges: Ranges
) -> tuple[LTCFormats, dict[str, Any]]:
    assert isinstance(network.solver, Fused)
    unfolds, bits = network.solver.unfolds, weight_bits(choices, profile)
    step, driven_step = 1 << (8 - bits), 2 << (8 - bits)
    largest_w = float(max(values.w.max(initial=0.0), values.sensory_w.max(initial=0.0)))
    if largest_w == 0.0:  # no synapses: a unit in which the leaks and capacitances have room
        largest_w = max(float(values.gleak.max(initial=0.0)), float(values.cm.max(initial=0.0)) * unfolds / choices.timespan / 2048.0, 1e-6)
    largest_driven = max(np.abs(values.w * values.erev).max(initial=0.0), np.abs(values.sensory_w * values.sensory_erev).max(initial=0.0))
    scale = largest_w / (255 - 255 % step)
    ratio, ratio_shift = ratio_at_least((largest_driven or largest_w) / (254 - 254 % driven_step) / scale)
    if ratio > 255:
        raise ValueError(
            f"erev must stay within 255 times the largest w's share of it, but w erev reaches {largest_driven:g} at w {largest_w:g}; "
            "clip erev"
        )
    gate_bits, gate_reason = _gate_bits(network, profile, values, choices, scale, unfolds)
    bound, bound_reason = _state_bound(ranges)
    state, message = _state_formats(bound, choices)
    input_fraction = 13 - integer_bits(choices.input_bound)
    slope = values.sensory_sigma * values.input_w[values.sensory_source]
    formats = LTCFormats(
        weight_bits=bits,
        input=QFormat(14, input_fraction),
        state=state,
        message=message,
        gate_bits=gate_bits,
        gain_fraction=_gain_fraction(values.sigma, message.fraction_bits, "sigma"),
        sensory_gain_fraction=_gain_fraction(slope, input_fraction, "sensory_sigma * input_w"),
        conductance_scale=float(scale),
        ratio=ratio,
        ratio_shift=ratio_shift,
        timespan=choices.timespan,
        unfolds=unfolds,
        gate_mean=_or_zero(ranges.gate_mean, values.w),
        sensory_gate_mean=_or_zero(ranges.sensory_gate_mean, values.sensory_w),
        input_threshold=choices.thresholds.get("input", 1),
        neuron_threshold=choices.thresholds.get("neuron", 1),
        gate_threshold=choices.thresholds.get("gate", 1),
        accumulator_bits=sum_bits(profile),
    )
    formats, state_reason = _widened(network, profile, values, formats, ranges, choices)
    return formats, {
        "weights": f"{bits} bits; a step is {formats.conductance_scale:.4g} of conductance, {formats.driven_scale:.4g} driven",
        "gate_bits": gate_reason,
        "state": f"{formats.state}: {bound_reason}{state_reason}",
        "inputs": f"{formats.input}: up to {choices.input_bound:.4g} ({choices.input_bound_from})",
        "timespan": f"{choices.timespan:g} model units per sample",
    }


def _gate_bits(
    network: LiquidNetwork, profile: HardwareProfile, values: LTCValues, choices: Choices, scale: float, unfolds: int
) -> tuple[int, str]:
    """fan-in * 255 * 2**bits < 2**(accumulator_bits - 1) for all weights; C = cm unfolds / timespan and gleak within 2**30 units."""
    fan_in = np.bincount(values.target, minlength=network.units) + np.bincount(values.sensory_target, minlength=network.units)
    widest = int(fan_in.argmax())
    room = (2.0 ** (sum_bits(profile) - 1) - 1) / (255.0 * max(int(fan_in[widest]), 1))
    by_fan_in = int(np.floor(np.log2(room))) if room >= 1 else 0
    largest = max(float(values.cm.max(initial=0.0)) * unfolds / choices.timespan, float(values.gleak.max(initial=0.0)), 1e-30)
    by_capacitance = int(np.floor(np.log2(HIGHEST_SUM * scale / largest)))
    most = min(by_fan_in, by_capacitance)
    asked = choices.bits.get("gates", min(MOST_GATE_BITS, most))
    reason = (
        f"{by_fan_in} from the {int(fan_in[widest])} synapses of {network.labels[widest]} into {sum_bits(profile)}-bit sums"
        if by_fan_in <= by_capacitance
        else f"{by_capacitance} from the largest cm * unfolds / timespan, {largest:.4g}"
    )
    if asked > min(most, 14) or asked < 1 or most < FEWEST_GATE_BITS:
        raise ValueError(f"gate bits must be {FEWEST_GATE_BITS} to {most} ({reason}), but are {asked}; reduce the fan-in or the bits")
    return asked, f"{asked}: at most {reason}"


def _state_bound(ranges: Ranges) -> tuple[float, str]:
    """The magnitude that the state word must hold. A box far larger than what calibration saw would waste the word: then that counts."""
    box = max(-ranges.lowest, ranges.highest, 2.0**-14)
    text = f"the box {ranges.lowest:.4g} to {ranges.highest:.4g} that no state leaves"
    if ranges.seen and box > 4.0 * ranges.seen:
        return 1.5 * ranges.seen, f"1.5 times the {ranges.seen:.4g} of calibration; {text} is larger, so saturation is possible and counted"
    return 1.02 * box, text


def _state_formats(bound: float, choices: Choices) -> tuple[QFormat, QFormat]:
    bits = choices.bits.get("state", 16)
    if not 6 <= bits <= 24:
        raise ValueError(f'bits["state"] must be 6 to 24, but is {bits}')
    whole = integer_bits(bound)
    fraction = min(min(bits, 16) - 1 - whole, 15)
    most = min(fraction, 15 - whole)
    message = choices.bits.get("message", whole + 1 + min(MESSAGE_FRACTION, most)) - whole - 1
    if not max(ARGUMENT_FRACTION - 14, 2) <= message <= most:
        raise ValueError(
            f'bits["message"] must be {whole + 3} to {whole + 1 + most} for states up to {bound:.3g}, but is {message + whole + 1}'
        )
    return QFormat(bits, fraction + max(bits - 16, 0)), QFormat(whole + 1 + message, message)


def _gain_fraction(slope: FloatArray, value_fraction: int, name: str) -> int:
    """The most fraction bits with which |slope| stays below 2**14 (training may double it) and the product's shift within 0 .. 31."""
    largest = float(np.abs(slope).max(initial=0.0)) or 1.0
    fraction = min(int(np.floor(np.log2(16384.0 / largest))), 31 + ARGUMENT_FRACTION - value_fraction, 15)
    if value_fraction + fraction < ARGUMENT_FRACTION:
        raise ValueError(
            f"{name} must stay below {largest * 2.0 ** (value_fraction + fraction - ARGUMENT_FRACTION):.4g}, but is {largest:.4g}"
        )
    return fraction


def _or_zero(mean: FloatArray | None, like: FloatArray) -> FloatArray:
    return np.zeros(len(like)) if mean is None else mean


# --- slow neurons -----------------------------------------------------------------------------------------------------------------------


def stagnation(values: LTCValues, formats: LTCFormats, gate_mean: FloatArray | None, sensory_gate_mean: FloatArray | None) -> FloatArray:
    """Per neuron the distance from its goal at which increments fall below half a step of the state: (1 + C / G) lsb / 2.

    G: leak and mean conductances (half open where no means are known). 0 for a neuron without conductance, which never moves.
    """
    recurrent = values.w * (0.5 if gate_mean is None else gate_mean)
    sensory = values.sensory_w * (0.5 if sensory_gate_mean is None else sensory_gate_mean)
    conductance = values.gleak + np.bincount(values.target, weights=recurrent, minlength=len(values.cm))
    conductance += np.bincount(values.sensory_target, weights=sensory, minlength=len(values.cm))
    capacitance = values.cm * formats.unfolds / formats.timespan
    ratio = np.divide(capacitance, conductance, out=np.full(len(capacitance), -1.0), where=conductance > 0)
    short: FloatArray = (1.0 + ratio) * formats.state.lsb / 2.0
    return short


def _widened(
    network: LiquidNetwork, profile: HardwareProfile, values: LTCValues, formats: LTCFormats, ranges: Ranges, choices: Choices
) -> tuple[LTCFormats, str]:
    """More state bits where slow neurons would stop short of their goal; refused where that is not enough."""
    span = max(ranges.highest - ranges.lowest, 2.0**-14)
    means = (ranges.gate_mean, ranges.sensory_gate_mean)
    short = stagnation(values, formats, *means)
    slowest = int(short.argmax())
    needed = max(int(np.ceil(np.log2(max(short[slowest], 1e-300) / (STAGNATION_GOAL * span)))), 0)
    if "state" not in choices.bits and needed:
        most = max(min(profile.state_bits, 24) - 16, 0)
        guard = min(needed, most)
        formats = replace(formats, state=QFormat(16 + guard, formats.fraction + guard))
        short = stagnation(values, formats, *means)
    if short[slowest] > STAGNATION_LIMIT * span:
        more = int(np.ceil(np.log2(short[slowest] / (STAGNATION_LIMIT * span))))
        raise ValueError(
            f"neuron {network.labels[slowest]} needs {formats.state.bits + more} state bits "
            f"({formats.state.fraction_bits + more} of fraction) "
            f"to come within {STAGNATION_LIMIT:.0%} of its goal, but {formats.state.bits} ({formats.state.fraction_bits}) are available: "
            f"it would stop {short[slowest]:.3g} short; give more state bits, fewer unfolds or longer samples"
        )
    reason = f"; {formats.guard} bits below the 16 that enter products, because {network.labels[slowest]} is slow" if formats.guard else ""
    return formats, reason


# --- notes ------------------------------------------------------------------------------------------------------------------------------


def _changed(formats: LTCFormats, choices: Choices) -> LTCFormats:
    """Formats kept, with the thresholds that the caller names."""
    sent = choices.thresholds
    return replace(
        formats,
        input_threshold=sent.get("input", formats.input_threshold),
        neuron_threshold=sent.get("neuron", formats.neuron_threshold),
        gate_threshold=sent.get("gate", formats.gate_threshold),
    )


def _losses(network: LiquidNetwork, values: LTCValues, formats: LTCFormats, ranges: Ranges) -> dict[str, Any]:
    """What the integers lose: synapses that round to nothing, weights beyond the grid, neurons that stop short of their goal."""
    integers = integer_parameters(values, formats).as_int64()
    labels, inputs = network.labels, network.interface.channels or tuple(f"input_{number}" for number in range(network.inputs))
    lost = [
        f"{labels[values.source[k]]} -> {labels[values.target[k]]}"
        for k in np.flatnonzero((integers.conductance == 0) & (integers.driven == 0))
    ]
    lost += [
        f"{inputs[values.sensory_source[k]]} -> {labels[values.sensory_target[k]]}"
        for k in np.flatnonzero((integers.sensory_conductance == 0) & (integers.sensory_driven == 0))
    ]
    clipped = sum(
        int((np.abs(real) > highest).sum())
        for real, highest in (
            (values.w, 255.5 * formats.conductance_scale),
            (values.sensory_w, 255.5 * formats.conductance_scale),
            (values.w * values.erev, 255.0 * formats.driven_scale),
            (values.sensory_w * values.sensory_erev, 255.0 * formats.driven_scale),
            (values.sigma, 32767.5 * 2.0**-formats.gain_fraction),
            (values.sensory_sigma * values.input_w[values.sensory_source], 32767.5 * 2.0**-formats.sensory_gain_fraction),
        )
    )
    box = max(-ranges.lowest, ranges.highest)
    short = stagnation(values, formats, ranges.gate_mean, ranges.sensory_gate_mean)
    slow = {labels[k]: float(short[k]) for k in np.flatnonzero(short > 2.0 * formats.state.lsb * 2**formats.guard)}
    return {
        "lost_synapses": tuple(lost),
        "clipped_parameters": clipped,
        "states_may_saturate": bool(box > formats.state.highest * formats.state.lsb),
        "stops_short_by": slow,
        "rounding": "errors of weights taken back on average in the leaks"
        if formats.gate_mean.any() or formats.sensory_gate_mean.any()
        else "errors of weights not taken back: no calibration",
    }
