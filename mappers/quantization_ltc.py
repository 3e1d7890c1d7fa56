"""Formats of an LTC in integers: scales from the weights, words from the invariant box, gate bits from fan-in, means from calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from hardware_profiles import HardwareProfile
from hardware_profiles.fixed_point import QFormat
from liquid_neuro.cells.integer import ARGUMENT_FRACTION, ratio_at_least
from liquid_neuro.cells.ltc import LTCValues, effective
from liquid_neuro.cells.ltc_build import build_integer
from liquid_neuro.cells.ltc_formats import LTCFormats, turns_before
from liquid_neuro.cells.ltc_integer import HIGHEST_SUM
from liquid_neuro.exact_solver import kinds
from liquid_neuro.network import Exact, FloatArray, Fused, LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers.proofs.state_box import messages_fit
from mappers.quantization import Choices, integer_bits, sum_bits, weight_bits
from mappers.quantization_ltc_memory import shared_message, with_memory
from mappers.quantization_ltc_ranges import Ranges, find_ranges, losses, stagnation, typical_timespan
from mappers.weight_rounding import with_own_scales

MOST_GATE_BITS, FEWEST_GATE_BITS = 10, 4
MESSAGE_FRACTION = 10
EXACT_TICKS = 24  # per sample under the differential equation: 12 sub-steps with half-step prediction
STAGNATION_GOAL, STAGNATION_LIMIT = 0.0025, 0.01  # of the state's span


def quantize_ltc(
    network: LiquidNetwork, profile: HardwareProfile, choices: Choices, formats: Any, ticks_per_sample: int | None
) -> QuantizedNetwork:
    """See `quantize`."""
    values = effective(network)
    _check_network(network, values)
    unfolds = _sub_steps(network, ticks_per_sample)
    ranges = find_ranges(network, values, choices)
    notes: dict[str, Any] = {}
    if formats is None:
        formats, notes = _choose(network, profile, values, choices, ranges, unfolds)
    else:
        formats = _kept(network, formats, choices, ticks_per_sample)
        return _built(network, profile, values, formats, ranges, choices, notes)
    quantized = _built(network, profile, values, formats, ranges, choices, notes)
    while not messages_fit(quantized) and formats.message.bits < profile.message_bits:  # those sent ahead may go far beyond the states
        formats = replace(formats, message=replace(formats.message, bits=formats.message.bits + 1))
        quantized = _built(network, profile, values, formats, ranges, choices, notes)
    return quantized


def _built(
    network: LiquidNetwork,
    profile: HardwareProfile,
    values: LTCValues,
    formats: LTCFormats,
    ranges: Ranges,
    choices: Choices,
    notes: dict[str, Any],
) -> QuantizedNetwork:
    populations, projections = build_integer(network, formats)
    timespan = typical_timespan(choices) if choices.irregular else formats.timespan
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
        notes={**notes, **losses(network, values, formats, ranges, timespan)},
    )


def finer_choices(
    quantized: QuantizedNetwork, profile: HardwareProfile, choices: Choices, ticks_per_sample: int | None
) -> Iterator[tuple[Choices, int | None]]:
    """What could come closer to the target than `quantized`, cheapest first: wider states, and more sub-steps of the exact solver."""
    ticks: list[int | None] = [ticks_per_sample]
    if ticks_per_sample is None and quantized.formats.exact:
        before = quantized.ticks_per_sample - 2 * quantized.formats.unfolds
        ticks += [2 * EXACT_TICKS + before, 4 * EXACT_TICKS + before]
    wider = [choices]
    if "state" not in choices.bits and min(profile.state_bits, 24) > quantized.formats.state.bits:
        wider.append(replace(choices, bits={**choices.bits, "state": min(profile.state_bits, 24)}))
    for number, count in enumerate(ticks):
        for place, one in enumerate(wider):
            if number or place:
                yield one, count


def _check_network(network: LiquidNetwork, values: LTCValues) -> None:
    if values.has_delays:
        name = "delay" if (values.delay > 0).any() else "sensory_delay"
        raise ValueError(
            f"{name} must be 0 to run in integers, where a synapse hears the tick before, but reaches {getattr(values, name).max():g}; "
            "leave the delays out or simulate in floats"
        )
    if isinstance(network.solver, Exact):
        kinds(values, network.labels)  # refuses loops of neurons without inertia by name
    for name in ("w", "sensory_w", "gleak", "cm", "gap_w"):
        array = getattr(values, name)
        if (array < 0).any():
            raise ValueError(
                f"{name} must not be negative to run in integers, but is {array.min():g} at {int(array.argmin())}; clip it to 0"
            )


def _sub_steps(network: LiquidNetwork, ticks_per_sample: int | None) -> int:
    """Sub-steps per sample; gates settle on every second tick, and so does what mixed memory recalls before them."""
    before = 2 * turns_before(network.mixed_memory, isinstance(network.solver, Exact))
    if isinstance(network.solver, Fused):
        ticks = 2 * network.solver.unfolds + before
        if ticks_per_sample not in (None, ticks):
            raise ValueError(
                f"ticks_per_sample must be {ticks} for {network.solver} (gates settle on every second tick), "
                f"but is {ticks_per_sample}; change the solver's unfolds"
            )
        return network.solver.unfolds
    ticks = EXACT_TICKS + before if ticks_per_sample is None else ticks_per_sample
    if not isinstance(ticks, int | np.integer) or ticks < 2 + before or ticks % 2:
        raise ValueError(f"ticks_per_sample must be even and at least {2 + before} (gates settle on every second tick), but is {ticks!r}")
    return (int(ticks) - before) // 2


def _kept(network: LiquidNetwork, formats: Any, choices: Choices, ticks_per_sample: int | None) -> LTCFormats:
    """The formats of an earlier quantisation with the thresholds that the caller names; ValueError where they are of another network."""
    wiring, solver = network.wiring, network.solver
    if (
        not isinstance(formats, LTCFormats)
        or wiring is None
        or (len(formats.gate_mean), len(formats.sensory_gate_mean)) != (wiring.synapse_count, wiring.sensory_synapse_count)
        or formats.exact != isinstance(solver, Exact)
        or (isinstance(solver, Fused) and formats.unfolds != solver.unfolds)
        or (formats.memory is None) == network.mixed_memory
    ):
        raise ValueError("formats must come from an LTC with this wiring and solver, but do not; quantise without formats")
    if ticks_per_sample not in (None, formats.ticks_per_sample):
        raise ValueError(
            f"ticks_per_sample must be the formats' {formats.ticks_per_sample}, but is {ticks_per_sample}; leave one of them out"
        )
    if choices.irregular and not formats.irregular:
        raise ValueError(
            f"formats must take samples of different lengths, as the calibration's are, but take {formats.timespan:g} model units alone; "
            "quantise without formats"
        )
    sent = choices.thresholds
    return replace(
        formats,
        input_threshold=sent.get("input", formats.input_threshold),
        neuron_threshold=sent.get("neuron", formats.neuron_threshold),
        gate_threshold=sent.get("gate", formats.gate_threshold),
        memory_threshold=sent.get("memory", formats.memory_threshold),
    )


# --- choosing ---------------------------------------------------------------------------------------------------------------------------


def _choose(
    network: LiquidNetwork, profile: HardwareProfile, values: LTCValues, choices: Choices, ranges: Ranges, unfolds: int
) -> tuple[LTCFormats, dict[str, Any]]:
    bits = weight_bits(choices, profile)
    scale, ratio, ratio_shift = _scales(values, bits, unfolds / choices.timespan)
    bound, bound_reason = _state_bound(ranges)
    state, message = _state_formats(bound, choices)
    input_fraction = 13 - integer_bits(choices.input_bound)
    if values.lstm is not None:
        message = shared_message(values.lstm, message, choices, profile)
        input_fraction = message.fraction_bits
    gate_bits, gate_reason = _gate_bits(network, profile, values, choices, scale, unfolds, message)
    slope = values.sensory_sigma * values.input_w[values.sensory_source]
    formats = LTCFormats(
        weight_bits=bits,
        input=QFormat(max(input_fraction + integer_bits(choices.input_bound) + 1, 2), input_fraction),
        state=state,
        message=message,
        gate_bits=gate_bits,
        gain_fraction=_gain_fraction(values.sigma, message.fraction_bits, "sigma"),
        sensory_gain_fraction=_gain_fraction(slope, input_fraction, "sensory_sigma * input_w"),
        conductance_scale=scale,
        ratio=ratio,
        ratio_shift=ratio_shift,
        timespan=choices.timespan,
        unfolds=unfolds,
        gate_mean=_or_zero(ranges.gate_mean, values.w),
        sensory_gate_mean=_or_zero(ranges.sensory_gate_mean, values.sensory_w),
        nudge=np.zeros((2, len(values.w))),
        sensory_nudge=np.zeros((2, len(values.sensory_w))),
        input_threshold=choices.thresholds.get("input", 1),
        neuron_threshold=choices.thresholds.get("neuron", 1),
        gate_threshold=choices.thresholds.get("gate", 1),
        accumulator_bits=sum_bits(profile),
        irregular=choices.irregular,
        exact=isinstance(network.solver, Exact),
    )
    formats, state_reason = _widened(network, profile, values, formats, ranges, choices)
    formats = with_own_scales(values, formats, ranges.history)
    formats, memory_notes = with_memory(values, formats, ranges.memory, choices)
    notes = {
        "weights": f"{bits} bits, one scale per neuron; a step is at most {scale:.4g}, driven {formats.driven_scale.max():.4g}",
        "gate_bits": gate_reason,
        "state": f"{formats.state}: {bound_reason}{state_reason}",
        "inputs": f"{formats.input}: up to {choices.input_bound:.4g} ({choices.input_bound_from})",
        "timespan": f"{choices.timespan:g} model units per sample",
        **memory_notes,
    }
    if formats.exact:
        notes["sub_steps"] = f"{unfolds} per sample, each with its conductances held; messages run half a sub-step ahead"
    if formats.irregular:
        notes["timespan"] = (
            f"{choices.shortest:g} to {choices.timespan:g} model units, told with every sample in {formats.elapsed} "
            f"(steps of {formats.elapsed.lsb:.2g})"
        )
    return formats, notes


def _scales(values: LTCValues, bits: int, rate: float) -> tuple[float, int, int]:
    """(conductance_scale, ratio, ratio_shift) that hold the largest weights of all neurons; rate: sub-steps per model unit."""
    step, driven_step = 1 << (8 - bits), 2 << (8 - bits)
    largest_w = float(max(values.w.max(initial=0.0), values.sensory_w.max(initial=0.0)))
    if largest_w == 0.0:  # no synapses: a unit in which the leaks, gap junctions and capacitances have room
        largest_w = max(*(float(a.max(initial=0.0)) for a in (values.gleak, values.gap_w, values.cm * rate / 2048.0)), 1e-6)
    driven = (values.w * values.erev, values.sensory_w * values.sensory_erev, values.gap_w)
    largest_driven = max(float(np.abs(part).max(initial=0.0)) for part in driven)
    scale = largest_w / (255 - 255 % step)
    ratio, ratio_shift = ratio_at_least((largest_driven or largest_w) / (254 - 254 % driven_step) / scale)
    if ratio > 255:
        name, what = ("gap_w", values.gap_w.max()) if largest_driven == values.gap_w.max(initial=0.0) else ("w erev", largest_driven)
        raise ValueError(
            f"{name} must stay within 255 times the largest w to share a scale with it, but reaches {what:g} at w {largest_w:g}; clip it"
        )
    return float(scale), ratio, ratio_shift


def _gate_bits(
    network: LiquidNetwork,
    profile: HardwareProfile,
    values: LTCValues,
    choices: Choices,
    scale: float,
    unfolds: int,
    message: QFormat,
) -> tuple[int, str]:
    """fan-in * 255 * 2**bits < 2**(accumulator_bits - 1) for all weights; C = cm unfolds / timespan and gleak within 2**30 units.

    A gap junction counts as often as the largest |v| holds the 1 of a gate.
    """
    units = network.units
    synapses = np.bincount(values.target, minlength=units) + np.bincount(values.sensory_target, minlength=units)
    gaps = np.bincount(values.gap_target, minlength=units)
    fan_in = synapses + gaps * 2.0 ** (message.bits - 1 - message.fraction_bits)
    widest = int(fan_in.argmax())
    room = (2.0 ** (sum_bits(profile) - 1) - 1) / (255.0 * max(float(fan_in[widest]), 1.0))
    by_fan_in = int(np.floor(np.log2(room))) if room >= 1 else 0
    joined = values.gleak + np.bincount(values.gap_target, weights=values.gap_w, minlength=units)
    capacitance = 0.0 if choices.irregular else float(values.cm.max(initial=0.0)) * unfolds / choices.timespan
    largest = max(capacitance, float(joined.max(initial=0.0)), 1e-30)
    by_capacitance = int(np.floor(np.log2(HIGHEST_SUM * scale / largest)))
    most = min(by_fan_in, by_capacitance)
    asked = choices.bits.get("gates", min(MOST_GATE_BITS, most))
    into = f"{int(synapses[widest])} synapses" + (f" and {int(gaps[widest])} gap junctions" if gaps[widest] else "")
    reason = (
        f"{by_fan_in} from the {into} of {network.labels[widest]} into {sum_bits(profile)}-bit sums"
        if by_fan_in <= by_capacitance
        else f"{by_capacitance} from the largest {'cm * unfolds / timespan' if largest == capacitance else 'leak'}, {largest:.4g}"
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
            f"{name} must stay below {largest * 2.0 ** (value_fraction + fraction - ARGUMENT_FRACTION):.4g} to gate values of "
            f"{value_fraction} fraction bits, but is {largest:.4g}; reduce it or the range of the values"
        )
    return fraction


def _or_zero(mean: FloatArray | None, like: FloatArray) -> FloatArray:
    return np.zeros(len(like)) if mean is None else mean


def _widened(
    network: LiquidNetwork, profile: HardwareProfile, values: LTCValues, formats: LTCFormats, ranges: Ranges, choices: Choices
) -> tuple[LTCFormats, str]:
    """More state bits where slow neurons would stop short of their goal; refused where that is not enough."""
    span = max(ranges.highest - ranges.lowest, 2.0**-14)
    timespan = typical_timespan(choices)
    short = stagnation(values, formats, ranges, timespan)
    slowest = int(short.argmax())
    needed = max(int(np.ceil(np.log2(max(short[slowest], 1e-300) / (STAGNATION_GOAL * span)))), 0)
    if "state" not in choices.bits and needed:
        most = max(min(profile.state_bits, 24) - 16, 0)
        guard = min(needed, most)
        formats = replace(formats, state=QFormat(16 + guard, formats.fraction + guard))
        short = stagnation(values, formats, ranges, timespan)
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
