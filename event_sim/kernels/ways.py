"""Three ways to compute the same sub-steps of an event-driven LTC under ncps' solver, and when to change from one to the next.

LOOP      follows each message: a neuron is looked at only when something reaches it (ltc_fused.py).
TOGETHER  moves all neurons in every sub-step, but evaluates only the synapses that hear a message (ltc_together.py).
LANES     evaluates everything in every sub-step, like a clock (ltc_lanes.py).

Neurons send the same messages at the same times on each way; results differ by rounding. What the next way would have saved is summed up
(never below 0) until it would have paid for the change; then the change is made. So nothing is lost to hesitation but what a change costs,
and nothing to changing to and fro. No decision knows of wall clocks, or of what is kept: the same run always goes the same ways.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from event_sim.kernels.jit import bare

LOOP, TOGETHER, LANES = 0, 1, 2
ANEW = -1.0  # no length of a sub-step: the loop looks at all neurons when it begins again


class Prices(NamedTuple):
    """What work costs, in synaptic operations of the loop.

    LOOP: a sample, whichever states are kept, an event, a neuron that it reaches in a sub-step (touch).
    TOGETHER: a sub-step of all neurons, an event (told), a synapse that hears a message.
    LANES: a sub-step of all neurons and synapses (everything), all sensory synapses.
    Changes of the way: from LOOP to TOGETHER, back, from TOGETHER to LANES, back.
    fan_out, hearing: how many synapses and gap junctions hear a neuron, and an input, on average.
    """

    sample: float
    event: float
    touch: float
    neurons: float
    told: float
    heard: float
    everything: float
    sensory: float
    to_together: float
    to_loop: float
    to_lanes: float
    from_lanes: float
    fan_out: float
    hearing: float


@bare
def loop_price(prices: Any, events: int, heard: float, met: float) -> Any:
    """Of a sample with so many events, synapses that heard of them or of inputs, and neurons reached in its sub-steps."""
    return prices.sample + prices.event * events + heard + prices.touch * met


@bare
def together_price(prices: Any, sub_steps: int, events: int, heard: float) -> Any:
    """Of a sample of so many sub-steps."""
    return prices.neurons * sub_steps + prices.told * events + prices.heard * heard


@bare
def lanes_price(prices: Any, sub_steps: int, changed: bool) -> Any:
    """Of a sample at whose beginning inputs changed or did not."""
    return prices.everything * sub_steps + (prices.sensory if changed else 0.0)


@bare
def choose(run: Any, here: float, less: float, more: float, to_less: float, to_more: float) -> None:
    """Sum up what a sample cost here and would have cost on the ways before and behind this one, and change the way where that pays."""
    run.spent += here
    run.less, run.more = max(run.less + here - less, 0.0), max(run.more + here - more, 0.0)
    change = 1 if run.more > to_more else -1 if run.less > to_less else 0
    if change != 0:
        run.way, run.less, run.more = run.way + change, 0.0, 0.0
