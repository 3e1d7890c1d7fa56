"""The rules that every network obeys; each broken rule is one sentence."""

from __future__ import annotations

import math

import numpy as np

from liquid_neuro.cells import cfc, ltc
from liquid_neuro.cells.functions import ACTIVATIONS
from liquid_neuro.checks import check_choice, is_number, is_whole
from liquid_neuro.network import CfCSettings, ClosedForm, Exact, Fused, Interface, LiquidNetwork, LTCSettings
from liquid_neuro.wiring import Wiring

DECISIONS = ("", "threshold", "argmax")


def validate(network: LiquidNetwork) -> None:
    """Return if the network is sound, else raise ValueError with the first broken rule."""
    if not isinstance(network.cell, str) or network.cell not in ("ltc", "cfc"):
        raise ValueError(f'cell must be "ltc" or "cfc", but is "{network.cell}"')
    _check_sizes(network)
    if network.wiring is not None and not isinstance(network.wiring, Wiring):
        raise ValueError(f"wiring must be a Wiring, but is {network.wiring!r:.80}")
    _check_settings(network)
    _check_wiring(network)
    _check_parameters(network)
    if network.cell == "ltc":
        _check_signs(network)
    _check_interface(network.interface, network.inputs, network.outputs)
    if not (is_number(network.time_unit_s) and math.isfinite(network.time_unit_s) and network.time_unit_s > 0):
        raise ValueError(f"time_unit_s must be a positive number of seconds, but is {network.time_unit_s!r:.80}")


def _check_sizes(network: LiquidNetwork) -> None:
    for name, size in (("inputs", network.inputs), ("units", network.units), ("outputs", network.outputs)):
        if not is_whole(size):
            raise ValueError(f"{name} must be an integer, but is {size!r:.80}")
    if network.inputs < 0 or network.units < 1 or network.outputs < 1:
        sizes = f"{network.inputs} inputs, {network.units} units and {network.outputs} outputs"
        raise ValueError(f"a network must have units and outputs, but has {sizes}")


def _check_settings(network: LiquidNetwork) -> None:
    settings = network.settings
    if network.cell == "ltc":
        if not isinstance(settings, LTCSettings):
            raise ValueError(f"settings of an LTC must be LTCSettings, but are {settings}")
        if not isinstance(network.solver, Fused | Exact):
            raise ValueError(f"solver of an LTC must be Fused or Exact, but is {network.solver}")
        if not (math.isfinite(settings.epsilon) and settings.epsilon >= 0):
            raise ValueError(f"epsilon must be a number of at least 0, but is {settings.epsilon}")
        return
    if not isinstance(settings, CfCSettings):
        raise ValueError(f"settings of a CfC must be CfCSettings, but are {settings}")
    if not isinstance(network.solver, ClosedForm):
        raise ValueError(f"solver of a CfC must be ClosedForm, but is {network.solver}")
    choices = (("mode", settings.mode, cfc.MODES), ("activation", settings.activation, tuple(ACTIVATIONS)))
    for name, value, allowed in (*choices, ("dialect", settings.dialect, cfc.DIALECTS)):
        check_choice(name, value, allowed)


def _check_wiring(network: LiquidNetwork) -> None:
    if network.cell == "ltc":
        ltc.wiring_of(network)
    wiring = network.wiring
    if wiring is not None:
        if (wiring.inputs, wiring.units) != (network.inputs, network.units):
            sizes = f"{network.inputs} inputs and {network.units} units"
            raise ValueError(f"wiring must have the network's {sizes}, but has {wiring.inputs} and {wiring.units}")
        if network.cell == "ltc" and wiring.outputs != network.outputs:
            raise ValueError(f"wiring must have the network's {network.outputs} outputs, but has {wiring.outputs}")
        if network.cell == "cfc" and wiring.gap_count:
            raise ValueError(f"wiring of a CfC must have no gap junctions, but has {wiring.gap_count}; use an LTC")
        if network.cell == "cfc" and not wiring.layers:
            raise ValueError("wiring of a CfC must have layers, but has none; give layers= to Wiring.from_adjacency")
    if network.cell == "cfc" and "fc.weight" not in network.parameters:
        last = cfc.layer_sizes(network)[-1][1]
        if network.outputs != last:
            raise ValueError(f"outputs of a CfC without projection must be the size of its last layer, {last}, but is {network.outputs}")


def _check_parameters(network: LiquidNetwork) -> None:
    required, optional = (ltc if network.cell == "ltc" else cfc).parameter_shapes(network)
    known = {**required, **optional}
    for name in required:
        if name not in network.parameters:
            raise ValueError(f'parameters must hold "{name}", but hold {_some(sorted(network.parameters))}')
    for name, value in network.parameters.items():
        if name not in known:
            raise ValueError(f'parameters must not hold "{name}", which this network has no use for; known are {_some(list(known))}')
        if value.shape != known[name]:
            raise ValueError(f"parameter {name} must have shape {known[name]}, but has {value.shape}")
        if not np.isfinite(value).all():
            raise ValueError(
                f"parameter {name} must be finite, but holds {value[~np.isfinite(value)][0]} at {np.argwhere(~np.isfinite(value))[0]}"
            )


def _check_signs(network: LiquidNetwork) -> None:
    settings = network.settings
    constrained = () if isinstance(settings, LTCSettings) and settings.softplus else ltc.CONSTRAINED
    for name in (*constrained, *ltc.DELAYS):
        values = network.parameters.get(name, np.zeros(0))
        if (values < 0).any():
            index = int(np.argmax(values < 0))
            text = f"but {name}[{index}] is {values[index]:.6g}"
            if name in ltc.DELAYS:
                raise ValueError(f"{name} must be at least 0 in model time, {text}")
            hint = "or was it trained with ncps' implicit constraints (softplus=True)?"
            raise ValueError(f"{name} must be at least 0 without softplus, {text}; {hint}")


def _check_interface(interface: Interface, inputs: int, outputs: int) -> None:
    if not isinstance(interface, Interface):
        raise ValueError(f"interface must be an Interface, but is {interface!r:.80}")
    per_input = ("channels", "channel_units", "input_mean", "input_scale")
    for name, size in (*((name, inputs) for name in per_input), ("outputs", outputs)):
        length = len(getattr(interface, name))
        if length not in (0, size):
            raise ValueError(f"interface.{name} must be empty or have {size} entries, but has {length}")
    if not all(math.isfinite(value) for value in (*interface.input_mean, *interface.input_scale, interface.threshold)):
        raise ValueError("interface.input_mean, input_scale and threshold must be finite")
    if len(interface.input_mean) != len(interface.input_scale):
        raise ValueError("interface.input_mean and input_scale must be given together, but one of them is empty")
    if len(set(interface.channels)) < len(interface.channels):
        raise ValueError("interface.channels must be names that differ, but one stands twice")
    if 0.0 in interface.input_scale:
        raise ValueError("interface.input_scale must not hold 0; use 1 for a channel that never changes")
    if not isinstance(interface.decision, str) or interface.decision not in DECISIONS:
        raise ValueError(f'interface.decision must be one of "", "threshold", "argmax", but is "{interface.decision}"')
    if interface.decision == "threshold" and outputs != 1:
        raise ValueError(f'interface.decision "threshold" needs one output, but there are {outputs}; use "argmax"')
    if interface.decision == "argmax" and outputs < 2:
        raise ValueError('interface.decision "argmax" needs several outputs, but there is 1; use "threshold"')


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
