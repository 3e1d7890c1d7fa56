"""From a float network to integers: which formats, scales and bits, and what they cost. The rounding itself lies in liquid_neuro/cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim.events import EventStream
from hardware_profiles import HardwareProfile
from liquid_neuro.cells import PROGRAMS
from liquid_neuro.network import Exact, FloatArray, LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers.quantization_error import Targets, close_enough, error_notes

WINDOW = 256  # calibration looks at no more than so many windows of so many samples
WINDOWS = 64
ASSUMED_RANGE = 8.0  # of inputs, where nobody tells: standardised measurements rarely leave it

Run = tuple[FloatArray, "FloatArray | None"]  # samples (time, inputs), their timespans (time,) where a clock tells them
Calibration = npt.ArrayLike | EventStream | Sequence[EventStream]


@dataclass(frozen=True, eq=False)
class Choices:
    """What the caller asks for, checked: bits by name, thresholds by population, the inputs' largest magnitude, model units per sample.

    timespan: of every sample, or the longest where they differ (`irregular`); shortest: the shortest above 0.
    windows: calibration samples (time, inputs) each, none where there is no calibration; spans: how long they last, (time,) each.
    """

    bits: Mapping[str, int]
    thresholds: Mapping[str, int]
    input_bound: float
    input_bound_from: str
    timespan: float
    windows: tuple[FloatArray, ...]
    spans: tuple[FloatArray, ...]
    irregular: bool = False
    shortest: float = 0.0


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
    timespans: tuple[float, float] | None = None,
    error: float | None = None,
) -> QuantizedNetwork:
    """The network in integers for a chip.

    calibration: samples as the network sees them, (time, inputs) or (windows, time, inputs), a stream or a list of streams: they tell the
    ranges of inputs and states and the means by which rounding errors are taken back. input_range: (lowest, highest) of the inputs instead.
    bits: weight bits, or by name: "weights", "state", "message", and for an LTC "gates". What is left out is chosen; notes say how.
    ticks_per_sample: the fewest that keep the order of the solver, when left out; an LTC under "exact" takes any even one, 24 if left out.
    formats: the choices of an earlier quantisation (its `formats`), kept as they are: for a network that was trained further.
    thresholds: how many steps a message must move before it is sent: a number for neurons, or by name: "input", "neuron", "gate",
    "backbone", "memory". 1 sends every change.
    timespan: model units per sample; from the calibration stream's clock when left out, else 1.
    timespans: (shortest, longest) where samples last differently long; a calibration stream whose samples do so tells it too. Such a
    network hears every sample's timespan.
    error: the most that outputs may miss the target by (rms over the calibration), as a fraction of the outputs' standard deviation. What
    was left out is then chosen finer where that is needed; what cannot come as close is refused.
    ValueError says in one sentence what cannot be kept, where, and what would help.
    """
    runs = () if calibration is None else _runs(network, calibration)
    if profile.kind == "akida":
        from mappers.quantization_akida import quantize_akida

        _check_frames(profile, thresholds=thresholds, ticks_per_sample=ticks_per_sample, error=error)
        shortest, longest, irregular = _clock(runs, timespan, timespans)
        if irregular:
            raise ValueError(
                f"samples must be equally long to calibrate this chip, but last {shortest:g} to {longest:g} model units; resample them"
            )
        samples = None if calibration is None else _stacked(_pieces(runs))
        return quantize_akida(network, profile, samples, input_range=input_range, bits=bits, formats=formats, timespan=longest)
    choices = _choices(network, runs, input_range, bits, thresholds, _clock(runs, timespan, timespans))
    error = None if error is None else _number("error", error, "a fraction of the outputs' standard deviation above 0, such as 0.01")
    targets: Targets = {}

    def attempt(choices: Choices, ticks: int | None) -> QuantizedNetwork:
        quantized = _quantized(network, profile, choices, formats, ticks)
        check_messages(quantized, profile, choices)
        return replace(quantized, notes={**quantized.notes, **error_notes(quantized, choices, targets)})

    quantized = attempt(choices, ticks_per_sample)
    if error is None or formats is not None:  # where formats are given nothing is left to choose
        return quantized if error is None else close_enough(error, quantized, (), {}, choices)
    finer, relaxed = _finer(quantized, profile, choices, ticks_per_sample), _relaxed(network, choices, ticks_per_sample)
    less_asked = {name: partial(attempt, *pair) for name, pair in relaxed.items()}
    return close_enough(error, quantized, (partial(attempt, *pair) for pair in finer), less_asked, choices)


def _quantized(network: LiquidNetwork, profile: HardwareProfile, choices: Choices, formats: Any, ticks: int | None) -> QuantizedNetwork:
    if network.cell == "ltc":
        from mappers.quantization_ltc import quantize_ltc

        return quantize_ltc(network, profile, choices, formats, ticks)
    from mappers.quantization_cfc import quantize_cfc

    return quantize_cfc(network, profile, choices, formats, ticks)


def _finer(
    quantized: QuantizedNetwork, profile: HardwareProfile, choices: Choices, ticks: int | None
) -> Iterable[tuple[Choices, int | None]]:
    """What could come closer to the target, cheapest first: nothing for a CfC, whose words are as wide as its programs take."""
    if quantized.network.cell != "ltc":
        return ()
    from mappers.quantization_ltc import finer_choices

    return finer_choices(quantized, profile, choices, ticks)


def _relaxed(network: LiquidNetwork, choices: Choices, ticks: int | None) -> dict[str, tuple[Choices, int | None]]:
    """Choices without one of the things that the caller asked for, each under what that is in a sentence."""

    def others(asked: Mapping[str, int], name: str) -> dict[str, int]:
        return {other: value for other, value in asked.items() if other != name}

    left = {f'without bits["{name}"]': (replace(choices, bits=others(choices.bits, name)), ticks) for name in choices.bits}
    for name in choices.thresholds:
        left[f'without thresholds["{name}"]'] = replace(choices, thresholds=others(choices.thresholds, name)), ticks
    if ticks is not None and isinstance(network.solver, Exact):
        left[f"with ticks_per_sample={2 * ticks}"] = choices, 2 * ticks
    return left


def choices_of(
    network: LiquidNetwork, calibration: Calibration | None, *, input_range: Any = None, bits: Any = None, timespan: float | None = None
) -> Choices:
    """What these arguments of `quantize` ask for, checked."""
    runs = () if calibration is None else _runs(network, calibration)
    return _choices(network, runs, input_range, bits, None, _clock(runs, timespan, None))


def _check_frames(profile: HardwareProfile, **given: Any) -> None:
    """ValueError where something is given that a chip of frames does not know."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} must not be given for {profile.name}, whose frames know no such thing, but is {value}; leave it out")


def _number(name: str, value: Any, what: str = "a number", above: float = 0.0) -> float:
    """A number above a bound, as it was given; ValueError for anything else."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"{name} must be {what}, but is {value!r}")
    if not (np.isfinite(value) and value > above):
        raise ValueError(f"{name} must be {what}, but is {value}")
    return float(value)


def _choices(
    network: LiquidNetwork, runs: tuple[Run, ...], input_range: Any, bits: Any, thresholds: Any, clock: tuple[float, float, bool]
) -> Choices:
    shortest, longest, irregular = clock
    pieces = _pieces(runs)
    if input_range is not None:
        bound, source = _largest(input_range), "input_range"
    elif pieces:
        bound, source = 1.1 * max(float(np.abs(samples).max()) for samples, _ in pieces), "calibration, with 10 % to spare"
    else:
        bound, source = ASSUMED_RANGE, "assumed: neither calibration nor input_range was given"
    asked = _by_name(bits, "weights")
    sent = _by_name(thresholds, "neuron")
    _check_names("bits", asked, ("weights", "state", "message", "gates") if network.cell == "ltc" else ("weights", "state", "message"))
    _check_names("thresholds", sent, ("input", "neuron", "gate" if network.cell == "ltc" else "backbone", "memory"))
    windows = tuple(samples for samples, _ in pieces)
    spans = tuple(_spans(piece, clock, number) for number, piece in enumerate(pieces))
    return Choices(asked, sent, max(bound, 2.0**-20), source, longest, windows, spans, irregular, shortest)


def _largest(input_range: Any) -> float:
    """The largest magnitude of (lowest, highest), each a number or one per channel."""
    try:
        ends = np.asarray(input_range, dtype=np.float64)
    except (TypeError, ValueError):
        ends = np.zeros(0)
    if not ends.size or not np.isfinite(ends).all():
        raise ValueError(f"input_range must be (lowest, highest) of the inputs in finite numbers, but is {input_range!r}")
    return float(np.abs(ends).max())


def _spans(piece: Run, clock: tuple[float, float, bool], number: int) -> FloatArray:
    """How long a window's samples last; where no clock tells, any lengths between the shortest and the longest."""
    samples, spans = piece
    shortest, longest, irregular = clock
    if not irregular:
        return np.full(len(samples), longest)
    return np.random.default_rng(number).uniform(shortest, longest, len(samples)) if spans is None else spans


def _by_name(given: Any, usual: str) -> dict[str, Any]:
    """What was given by name; a value alone is that of the usual name, None gives none."""
    return {} if given is None else dict(given) if isinstance(given, Mapping) else {usual: given}


def _check_names(what: str, given: Mapping[str, int], known: tuple[str, ...]) -> None:
    for name, value in given.items():
        if name not in known:
            raise ValueError(f'{what} must name some of {", ".join(known)}, but names "{name}"')
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{what}[{name!r}] must be a whole number of at least 1, but is {value}")


def check_messages(quantized: QuantizedNetwork, profile: HardwareProfile, choices: Choices) -> None:
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


def _runs(network: LiquidNetwork, calibration: Any) -> tuple[Run, ...]:
    """Calibration as runs, checked: samples (time, inputs), and how long they last in model units where a stream's clock tells."""
    items = [calibration] if isinstance(calibration, EventStream) else calibration
    runs: list[FloatArray] = []
    spans: list[FloatArray | None] = []
    for item in items if isinstance(items, (list, tuple)) else np.atleast_2d(_samples(items)):
        if isinstance(item, EventStream) and item.durations_s is None:
            raise ValueError("calibration must have a sample clock, but the stream has none; use with_clock(sample_s)")
        lasting = item.durations_s if isinstance(item, EventStream) else None
        spans.append(None if lasting is None else np.asarray(lasting / network.time_unit_s))
        runs.append(_samples(item.held() if isinstance(item, EventStream) else item))
    if not runs:
        raise ValueError("calibration must hold at least one sample, but is empty; give samples as the network sees them, or leave it out")
    if all(run.ndim == 1 for run in runs):  # one run (time, inputs) was given, not a list of runs
        runs, spans = [np.stack(runs)], [None]
    for run in runs:
        if run.ndim != 2 or run.shape[1] != network.inputs or not run.size:
            raise ValueError(
                f"calibration must be (time, {network.inputs}) or (windows, time, {network.inputs}), but has shape {run.shape}"
            )
        if not np.isfinite(run).all():
            raise ValueError("calibration must be finite, but has a value that is not; leave such rows out")
    return tuple(zip(runs, spans))


def _samples(values: Any) -> FloatArray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"calibration must be samples in numbers, streams or a list of either, but holds a {type(values).__name__}; read the data first"
        ) from None


def _pieces(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """Windows of the runs to look at."""
    pieces = [
        (samples[start : start + WINDOW], None if spans is None else spans[start : start + WINDOW])
        for samples, spans in runs
        for start in range(0, len(samples), WINDOW)
    ]
    return tuple(pieces[:: max(1, -(-len(pieces) // WINDOWS))])


def _stacked(pieces: tuple[Run, ...]) -> FloatArray:
    """Windows as one array (windows, time, inputs): those shorter than half the longest are left out, the others cut to one length."""
    longest = max(len(window) for window, _ in pieces)
    kept = [window for window, _ in pieces if 2 * len(window) >= longest]
    shortest = min(len(window) for window in kept)
    return np.stack([window[:shortest] for window in kept])


def _clock(runs: tuple[Run, ...], timespan: float | None, timespans: tuple[float, float] | None) -> tuple[float, float, bool]:
    """(shortest above 0, longest, whether samples last differently long), in model units."""
    if timespan is not None and timespans is not None:
        raise ValueError("timespan and timespans must not both be given, but are; give one number for all samples or (shortest, longest)")
    seen = [spans for _, spans in runs if spans is not None]
    values = np.concatenate(seen) if seen else np.ones(1)
    if timespans is not None:
        try:
            shortest, longest = (float(value) for value in timespans)
        except (TypeError, ValueError):
            raise ValueError(f"timespans must be (shortest, longest) in model units, but are {timespans!r}") from None
        if not (np.isfinite(longest) and 0 < shortest <= longest):
            raise ValueError(f"timespans must be (shortest, longest) with 0 < shortest <= longest, but are {shortest:g} and {longest:g}")
        if seen and values.max() > longest * (1 + 1e-9):
            raise ValueError(
                f"timespans must reach to the calibration's longest, {values.max():g} model units, but end at {longest:g}; raise it"
            )
        return shortest, longest, True
    if timespan is None and not np.allclose(values, values[0], rtol=1e-6, atol=0.0):
        return float(values[values > 0].min()), float(values.max()), True
    timespan = _number("timespan", float(values[0]) if timespan is None else timespan, "a positive number of model units")
    return timespan, timespan, False


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
