"""How far a network in integers lies from its target, measured over the calibration; what limits it; and the refusal that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from event_sim.chip_machine import unit_populations
from event_sim.fixed import direct_samples
from liquid_neuro.cells import cfc, cfc_formats
from liquid_neuro.cells.cfc_formats import CfCFormats
from liquid_neuro.cells.ltc import effective
from liquid_neuro.cells.ltc_formats import LTCFormats, integer_parameters
from liquid_neuro.dynamics import Trajectory, trajectory
from liquid_neuro.network import Exact, FloatArray, LiquidNetwork, LTCSettings
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers.clipping import clipping_notes

if TYPE_CHECKING:
    from mappers.quantization import Choices

PORT_HEADS = {"first": "ff1", "second": "ff2", "time": "time_b", "slope": "time_a", "level": "time_b"}
MEASURED_WINDOWS, MEASURED_SAMPLES = 8, 64  # over which the error is measured,
MEASURED_PRODUCTS = 20_000_000  # fewer for large networks,
MEASURED_SOLUTIONS = 4_000_000  # and fewer still where the target is the differential equation, solved with a dense Jacobian
SOLUTION_TOLERANCE = 1e-7
HELPS = 0.9  # of the error: what is left when something is left out, for it to be named
Targets = dict[tuple[int, int], Trajectory]  # by windows and samples: what the float network does, for several attempts at one network
TINY = 1e-12  # stands for a conductance that rounds to 0 beside a driven conductance that does not


def error_notes(quantized: QuantizedNetwork, choices: Choices, targets: Targets) -> dict[str, Any]:
    """How far outputs and states lie from the target over some of the calibration, each window from state 0; nothing without calibration.

    error: target, rms of the outputs, that as a fraction of the target's standard deviation, samples. furthest: (neuron, rms of its state
    as a fraction of its standard deviation), the one that is furthest off. clipped: see `clipping_notes`.
    targets: found here and kept.
    """
    measured = _measured(quantized, choices)
    if measured is None:
        return {}
    x, spans = measured
    shape = (x.shape[0], x.shape[1])
    if shape not in targets:
        targets[shape] = _target(quantized.network, x, spans)
    target = targets[shape]
    words = direct_samples(quantized, x, spans)
    rms = _rms(quantized.output(words) - target.y)
    units = unit_populations(quantized)
    states = np.concatenate([p.state.to_real(words[..., start : start + p.size]) for p, start in units], axis=-1)
    each = np.sqrt(np.mean(np.square(states - target.states), axis=(0, 1)))
    spread = np.maximum(target.states.std(axis=(0, 1)), max(p.state.lsb for p, _ in units))
    worst = int(np.argmax(each / spread))
    return {
        "error": {"target": str(quantized.target), "rms": rms, "of_output_std": _share(rms, target.y), "samples": x.shape[0] * x.shape[1]},
        "furthest": (quantized.network.labels[worst], float(each[worst] / spread[worst])),
        "clipped": clipping_notes(quantized, x, spans),
    }


def close_enough(
    error: float,
    quantized: QuantizedNetwork,
    finer: Iterable[Callable[[], QuantizedNetwork]],
    relaxed: Mapping[str, Callable[[], QuantizedNetwork]],
    choices: Choices,
) -> QuantizedNetwork:
    """`quantized`, or the first of the finer forms, whose outputs miss the target by no more than `error`; ValueError where none does.

    relaxed: "without ...": the network without something that the caller asked for; the refusal says which of them would help.
    """
    best = quantized
    reached = _reached(best)
    if reached is None:
        raise ValueError("error must be measured on inputs, but there is no calibration with moving outputs; give calibration")
    for attempt in finer:
        if reached <= error:
            break
        following = attempt()
        share = _reached(following)
        if share is not None and share < reached:
            best, reached = following, share
    if reached > error:
        shares = {name: _reached(attempt()) for name, attempt in relaxed.items()}
        helping = {name: share for name, share in shares.items() if share is not None and share < HELPS * reached}
        without = "".join(f"{name} it would be {share:.3g}; " for name, share in helping.items())
        cure = f"quantise {' or '.join(helping)}" if helping else "allow a larger error, or train through the integers"
        raise ValueError(
            f"error must be at least {reached:.3g} of the outputs' standard deviation for this network on {quantized.profile} "
            f"({without}{_limits(best, choices)}), but is {error:g}; {cure}"
        )
    return replace(best, notes={**best.notes, "asked_error": error})


def _reached(quantized: QuantizedNetwork) -> float | None:
    return quantized.notes["error"]["of_output_std"] if "error" in quantized.notes else None


def _limits(quantized: QuantizedNetwork, choices: Choices) -> str:
    """What stands in the way, by name."""
    furthest, off = quantized.notes["furthest"]
    text = f"neuron {furthest} is furthest off, {off:.1%} of its own"
    measured = _measured(quantized, choices)
    if measured is None:
        return text
    x, spans = measured
    y = _target(quantized.network, x, spans).y
    weights = _share(_rms(_target(rounded(quantized.network, quantized.formats), x, spans).y - y), y)
    slow = ", ".join(quantized.notes.get("stops_short_by", ()))
    stops = f"; increments of {slow} fall below one step of {quantized.formats.state.bits}-bit states" if slow else ""
    return f"{quantized.formats.weight_bits}-bit weights alone cost {weights:.3g}; {text}{stops}"


def rounded(network: LiquidNetwork, formats: LTCFormats | CfCFormats) -> LiquidNetwork:
    """The network with the weights, leaks and biases that its integers stand for: what rounding them costs, in floats."""
    if isinstance(formats, CfCFormats):
        return _rounded_cfc(network, formats)
    values = effective(network)
    integers = integer_parameters(values, formats)
    parameters = {name: np.array(array) for name, array in network.parameters.items()}
    scale, driven_scale = (np.broadcast_to(one, network.units) for one in (formats.conductance_scale, formats.driven_scale))
    for prefix, target, conductance, driven in (
        ("", values.target, integers.conductance, integers.driven),
        ("sensory_", values.sensory_target, integers.sensory_conductance, integers.sensory_driven),
    ):
        w = np.maximum(conductance * scale[target], TINY)
        parameters |= {f"{prefix}w": w, f"{prefix}erev": driven * driven_scale[target] / w}
    gap = integers.gap * driven_scale[values.gap_target]
    joined = np.bincount(values.gap_target, weights=gap, minlength=network.units)
    gleak = np.maximum(integers.leak * formats.unit - joined, TINY)
    parameters |= {"cm": values.cm, "gleak": gleak, "vleak": integers.driven_leak * formats.unit / gleak}
    if values.has_gaps:
        parameters["gap_w"] = gap.reshape(2, -1).mean(axis=0)  # each way is rounded on the scale of its target
    return replace(network, settings=LTCSettings(softplus=False, epsilon=values.epsilon), parameters=parameters)


def _rounded_cfc(network: LiquidNetwork, formats: CfCFormats) -> LiquidNetwork:
    parameters = {name: np.array(array) for name, array in network.parameters.items()}
    for number, (layer, how) in enumerate(zip(cfc_formats.integer_parameters(cfc.effective(network), formats).layers, formats.layers)):
        prefix = "" if network.wiring is None else f"layer_{number}."
        maps = {f"backbone.{depth}": (*layer.backbone[depth], dense) for depth, dense in enumerate(how.backbone)}
        maps |= {prefix + PORT_HEADS[port]: (*layer.heads[port], dense) for port, dense in how.heads.items()}
        if "time" in how.heads:  # both time heads in one, for samples of this length
            parameters |= {f"{prefix}time_a.{part}": 0.0 * parameters[f"{prefix}time_a.{part}"] for part in ("weight", "bias")}
        for name, (weight, bias, dense) in maps.items():
            sign = -1.0 if formats.keras and name.endswith("time_a") else 1.0
            parameters |= {f"{name}.weight": sign * weight * dense.scale, f"{name}.bias": sign * bias * 2.0**-dense.fraction}
    return replace(network, parameters=parameters)


def _measured(quantized: QuantizedNetwork, choices: Choices) -> tuple[FloatArray, FloatArray] | None:
    """(x (windows, time, inputs), timespans (windows, time)) to measure on, or None where there is nothing or the network is too large."""
    length = min(min((len(window) for window in choices.windows), default=0), MEASURED_SAMPLES)
    if length < 1:
        return None
    products = max(quantized.stored_synapses, 1) * length * quantized.ticks_per_sample
    count = min(len(choices.windows), MEASURED_WINDOWS, MEASURED_PRODUCTS // products)
    if isinstance(quantized.target, Exact):
        count = min(count, MEASURED_SOLUTIONS // (quantized.network.units**2 * length))
    if count < 1:
        return None
    x = np.stack([window[:length] for window in choices.windows[:count]])
    return x, np.stack([spans[:length] for spans in choices.spans[:count]])


def _target(network: LiquidNetwork, x: FloatArray, spans: FloatArray) -> Trajectory:
    return trajectory(network, x, spans, tolerance=SOLUTION_TOLERANCE)


def _rms(difference: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(difference))))


def _share(rms: float, y: FloatArray) -> float | None:
    spread = float(y.std())
    return rms / spread if spread else None
