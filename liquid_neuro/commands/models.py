"""The networks that the commands build when none is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liquid_neuro.network import LiquidNetwork
    from liquid_neuro.tasks import Task
    from liquid_neuro.wiring import Wiring

WIRING_SEED = 22222  # ncps' own default


def demo_wiring(inputs: int) -> Wiring:
    """The circuit of the demonstration: 19 neurons (12 inter, 6 command, 1 motor)."""
    from liquid_neuro.wiring import Wiring

    return Wiring.ncp(
        inputs,
        inter=12,
        command=6,
        motor=1,
        sensory_fanout=6,
        inter_fanout=4,
        recurrent_command_synapses=6,
        motor_fanin=6,
        seed=WIRING_SEED,
    )


def new_network(task: Task, cell: str, units: int, seed: int) -> LiquidNetwork:
    """An untrained network for a task: LTC or CfC on an NCP wiring, with the task's interface and time unit."""
    import dataclasses

    import liquid_neuro
    from liquid_neuro.wiring import Wiring

    if cell not in ("ltc", "cfc"):
        raise ValueError(f'--cell must be ltc or cfc, but is "{cell}"')
    inputs = len(task.channels)
    wiring = demo_wiring(inputs) if units == 19 else Wiring.auto_ncp(inputs, units, 1, seed=WIRING_SEED)
    network = liquid_neuro.ltc(wiring, seed=seed) if cell == "ltc" else liquid_neuro.cfc(wiring, seed=seed)
    return dataclasses.replace(network, interface=task.interface, time_unit_s=task.time_unit_s)
