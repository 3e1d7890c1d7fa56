"""From a float network to integers: which formats, scales and bits, and what they cost. The rounding itself lies in liquid_neuro/cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim.events import EventStream
from event_sim.fixed import direct_samples
from hardware_profiles import HardwareProfile
from liquid_neuro.cells import PROGRAMS
from liquid_neuro.dynamics import integrate
from liquid_neuro.network import FloatArray, LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork

WINDOW = 256  # calibration looks at no more than so many windows of so many samples
WINDOWS = 64
MEASURED_WINDOWS, MEASURED_SAMPLES = 8, 64  # over which the error is measured,
MEASURED_PRODUCTS = 20_000_000  # fewer for large networks
ASSUMED_RANGE = 8.0  # of inputs, where nobody tells: standardised measurements rarely leave it

Calibration = npt.ArrayLike | EventStream | Sequence[EventStream]


@dataclass(frozen=True, eq=False)
class Choices:
    """What the caller asks for, checked: bits by name, thresholds by population, the inputs' largest magnitude, model units per sample.

    windows: calibration samples (time, inputs) each, none where there is no calibration.
    """

    bits: Mapping[str, int]
    thresholds: Mapping[str, int]
    input_bound: float
    input_bound_from: str
    timespan: float
    windows: tuple[FloatArray, ...]


def quantize(
    network: LiquidNetwork,
    profile: HardwareProfile,
    *,
    calibration: Calibration | None = None,
    input_range: Any = None,
    bits: int | Mapping[str, int] | None = None,
    ticks_per_sample: int | None = None,
    formats: Any = None,
    thresholds: int | Mapping[str, int] | None = None,
    timespan: float | None = None,
) -> QuantizedNetwork:
    """The network in integers for a chip.

    calibration: samples as the network sees them, (time, inputs) or (windows, time, inputs), a stream or a list of streams: they tell the
    ranges of inputs and states and the means by which rounding errors are taken back. input_range: (lowest, highest) of the inputs instead.
    bits: weight bits, or by name: "weights", "state", "message", and for an LTC "gates". What is left out is chosen; notes say how.
    ticks_per_sample: the fewest that keep the order of the solver, when left out.
    formats: the choices of an earlier quantisation (its `formats`), kept as they are: for a network that was trained further.
    thresholds: how many steps a message must move before it is sent: a number for neurons, or by name: "input", "neuron", "gate",
    "backbone". 1 sends every change.
    timespan: model units per sample; from the calibration stream's clock when left out, else 1.
    ValueError says in one sentence what cannot be kept, where, and what would help.
    """
    if profile.kind == "akida":
        from mappers.quantization_akida import quantize_akida

        samples = None if calibration is None else _stacked(_windows(network, calibration)[0])
        span = _timespan(network, calibration, timespan)
        return quantize_akida(network, profile, samples, input_range=input_range, bits=bits, formats=formats, timespan=span)
    if network.mixed_memory:
        raise ValueError("network must be without mixed memory to run in integers, but has an LSTM cell; train the liquid cell alone")
    choices = _choices(network, calibration, input_range, bits, thresholds, timespan)
    if network.cell == "ltc":
        from mappers.quantization_ltc import quantize_ltc as quantize_cell
    else:
        from mappers.quantization_cfc import quantize_cfc as quantize_cell
    quantized = quantize_cell(network, profile, choices, formats, ticks_per_sample)
    _check_messages(quantized, profile, choices)
    return replace(quantized, notes={**quantized.notes, **_error_notes(quantized, choices)})


def _choices(network: LiquidNetwork, calibration: Any, input_range: Any, bits: Any, thresholds: Any, timespan: float | None) -> Choices:
    windows = () if calibration is None else _windows(network, calibration)[0]
    span = _timespan(network, calibration, timespan)
    if input_range is not None:
        bound, source = float(np.abs(np.asarray(input_range, dtype=np.float64)).max()), "input_range"
    elif windows:
        bound, source = 1.1 * max(float(np.abs(window).max()) for window in windows), "calibration, with 10 % to spare"
    else:
        bound, source = ASSUMED_RANGE, "assumed: neither calibration nor input_range was given"
    if not np.isfinite(bound):
        raise ValueError(f"input_range must be finite, but is {input_range}")
    asked = _by_name(bits, "weights")
    sent = _by_name(thresholds, "neuron")
    _check_names("bits", asked, ("weights", "state", "message", "gates") if network.cell == "ltc" else ("weights", "state", "message"))
    _check_names("thresholds", sent, ("input", "neuron", "gate") if network.cell == "ltc" else ("input", "neuron", "backbone"))
    return Choices(asked, sent, max(bound, 2.0**-20), source, span, windows)


def _by_name(given: Any, usual: str) -> dict[str, Any]:
    """What was given by name; a value alone is that of the usual name, None gives none."""
    return {} if given is None else dict(given) if isinstance(given, Mapping) else {usual: given}


def _check_names(what: str, given: Mapping[str, int], known: tuple[str, ...]) -> None:
    for name, value in given.items():
        if name not in known:
            raise ValueError(f'{what} must name some of {", ".join(known)}, but names "{name}"')
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{what}[{name!r}] must be a whole number of at least 1, but is {value}")


def _check_messages(quantized: QuantizedNetwork, profile: HardwareProfile, choices: Choices) -> None:
    """ValueError where a message is wider than the chip's, which no mapping can mend, or a threshold is more than any message can move."""
    for one in quantized.populations if profile.kind == "loihi" else ():
        if one.message_bits > profile.message_bits:
            raise ValueError(
                f"profile must have messages of {one.message_bits} bits for population {one.name}, but {profile.name} has "
                f"{profile.message_bits}; choose a chip of graded messages, such as loihi2"
            )
    highest = highest_thresholds(quantized)
    for name, value in choices.thresholds.items():
        if value > highest.get(name, value):
            raise ValueError(
                f"thresholds[{name!r}] must be at most {highest[name]}, the most that a message can move, but is {value}; lower it"
            )


def highest_thresholds(quantized: QuantizedNetwork) -> dict[str, int]:
    """By the name of a threshold: the most steps that a message of its populations can move, 2^bits - 1."""
    highest: dict[str, int] = {}
    for one in quantized.populations:
        name = "input" if not one.program else "neuron" if PROGRAMS[one.program].unit else one.program.rpartition(".")[2]
        highest[name] = min(highest.get(name, 1 << 62), (1 << one.message_bits) - 1)
    return highest


def _windows(network: LiquidNetwork, calibration: Any) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
    """(windows (time, inputs) to look at, the timespans in model units of the streams among them)."""
    items = [calibration] if isinstance(calibration, EventStream) else calibration
    runs, spans = [], []
    for item in items if isinstance(items, (list, tuple)) else np.atleast_2d(np.asarray(items, dtype=np.float64)):
        if isinstance(item, EventStream):
            if item.durations_s is None:
                raise ValueError("calibration must have a sample clock, but the stream has none; use with_clock(sample_s)")
            spans.append(item.durations_s / network.time_unit_s)
            item = item.held()
        runs.append(np.asarray(item, dtype=np.float64))
    if not runs:
        raise ValueError("calibration must hold at least one sample, but is empty; give samples as the network sees them, or leave it out")
    if all(run.ndim == 1 for run in runs):  # one run (time, inputs) was given, not a list of runs
        runs = [np.stack(runs)]
    for run in runs:
        if run.ndim != 2 or run.shape[1] != network.inputs or not run.size:
            raise ValueError(
                f"calibration must be (time, {network.inputs}) or (windows, time, {network.inputs}), but has shape {run.shape}"
            )
        if not np.isfinite(run).all():
            raise ValueError("calibration must be finite, but has a value that is not; leave such rows out")
    pieces = [run[start : start + WINDOW] for run in runs for start in range(0, len(run), WINDOW)]
    step = max(1, -(-len(pieces) // WINDOWS))
    return tuple(pieces[::step]), tuple(spans)


def _stacked(windows: tuple[FloatArray, ...]) -> FloatArray:
    """Windows as one array (windows, time, inputs): those shorter than half the longest are left out, the others cut to one length."""
    longest = max(len(window) for window in windows)
    kept = [window for window in windows if 2 * len(window) >= longest]
    shortest = min(len(window) for window in kept)
    return np.stack([window[:shortest] for window in kept])


def _timespan(network: LiquidNetwork, calibration: Any, timespan: float | None) -> float:
    if timespan is None:
        spans = () if calibration is None else _windows(network, calibration)[1]
        values = np.concatenate(spans) if spans else np.ones(1)
        timespan = float(values[0])
        if not np.allclose(values, timespan, rtol=1e-6, atol=0.0):
            raise ValueError(
                f"samples must be equally long to run in integers, but last {values.min():g} to {values.max():g} model units; resample them"
            )
    if not (np.isfinite(timespan) and timespan > 0):
        raise ValueError(f"timespan must be a positive number of model units, but is {timespan}")
    return timespan


def _error_notes(quantized: QuantizedNetwork, choices: Choices) -> dict[str, Any]:
    """How far the outputs lie from the target over some of the calibration, each window from state 0; nothing without calibration."""
    length = min((len(window) for window in choices.windows), default=0)
    length = min(length, MEASURED_SAMPLES)
    synapses = max(quantized.stored_synapses, 1)
    count = min(len(choices.windows), MEASURED_WINDOWS, MEASURED_PRODUCTS // max(synapses * length * quantized.ticks_per_sample, 1))
    if count < 1 or length < 1:
        return {}
    x = np.stack([window[:length] for window in choices.windows[:count]])
    y, _ = integrate(quantized.network, x, timespans=choices.timespan)
    rms = float(np.sqrt(np.mean((quantized.output(direct_samples(quantized, x)) - y) ** 2)))
    spread = float(y.std())
    return {
        "error": {"target": str(quantized.target), "rms": rms, "of_output_std": rms / spread if spread else None, "samples": count * length}
    }


def weight_bits(choices: Choices, profile: HardwareProfile) -> int:
    """The weight bits asked for, or the widest; ValueError where the chip has no such weights."""
    available = tuple(bits for bits in profile.weight_bits_choices if 2 <= bits <= 8) or (8,)
    chosen = choices.bits.get("weights", max(available))
    if chosen not in available:
        raise ValueError(f'bits["weights"] must be one of {", ".join(map(str, available))} for {profile.name}, but is {chosen}')
    return int(chosen)


def sum_bits(profile: HardwareProfile) -> int:
    """The width of running sums: the chip's, but no more than the 24 for which the programs' products fit 32-bit words."""
    return min(profile.accumulator_bits, 24)


def integer_bits(bound: float) -> int:
    """Bits left of the point that hold -bound .. bound (may be negative), sign not counted."""
    return int(np.ceil(np.log2(bound)))
