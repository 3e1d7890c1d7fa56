"""Activity counts -> Cost: one function per kind of chip.

Energy adds over cores; the time of a tick is that of its slowest core plus the barrier, because cores work in parallel and wait for each
other. Static power, barrier and host input are never mixed into the operations.
"""

from __future__ import annotations

from collections.abc import Mapping

from hardware_profiles.cost import ZERO, Activity, CoreCounts, Cost, Range, exactly, largest, total
from hardware_profiles.profile import HardwareProfile, ProfileError
from hardware_profiles.sections import CoreTime, Processor

MODES = ("free_running", "paced")


def estimate(
    profile: HardwareProfile,
    activity: Activity,
    *,
    sample_period_s: float | None = None,
    mode: str = "free_running",
    memory_bits: Mapping[str, int] | None = None,
) -> Cost:
    """The cost of one sample of the run on the chip.

    sample_period_s: seconds between samples of the stream, for the paced energy. mode: which of the two the components describe.
    ValueError: unknown mode, mode "paced" without a period.
    """
    if mode not in MODES:
        raise ValueError(f'mode must be "free_running" or "paced", but is "{mode}"; choose one')
    if mode == "paced" and sample_period_s is None:
        raise ValueError('`sample_period_s` must be given for mode "paced", but is None; pass the seconds between samples')
    if sample_period_s is not None and not sample_period_s > 0:
        raise ValueError(f"`sample_period_s` must be above 0, but is {sample_period_s:g}; pass the seconds between samples")
    parts = {"loihi": _cores, "akida": _layers, "microcontroller": _program}[profile.kind](profile, activity)
    return _assemble(profile, parts, sample_period_s, mode, memory_bits or {})


class _Parts:
    """What the kinds of chip hand to `_assemble`, all per sample."""

    def __init__(self) -> None:
        self.dynamic: dict[str, Range] = {}
        self.outside: dict[str, Range] = {}
        self.times: dict[str, Range] = {}
        self.busy_s = ZERO
        self.latency_s = ZERO
        self.rest_power_w = ZERO
        self.running_power_w = ZERO
        self.counts: dict[str, float] = {}
        self.notes: list[str] = []


def _assemble(profile: HardwareProfile, parts: _Parts, period_s: float | None, mode: str, memory_bits: Mapping[str, int]) -> Cost:
    dynamic = total(parts.dynamic.values())
    static = {"free_running": parts.running_power_w * parts.busy_s}
    notes = list(parts.notes)
    paced = None
    if period_s is not None:
        static["paced"] = _paced_static(parts, period_s)
        paced = static["paced"] + dynamic
        if parts.busy_s.high > period_s:
            notes.append(
                f"a sample takes up to {parts.busy_s.high:.3g} s, longer than the stream's {period_s:.3g} s: the chip may fall behind"
            )
    return Cost(
        profile=profile.name,
        mode=mode,
        energy_j=static["free_running"] + dynamic,
        energy_paced_j=paced,
        latency_s=parts.latency_s,
        busy_s=parts.busy_s,
        sample_period_s=period_s,
        components={"static": static[mode], **parts.dynamic, **parts.outside},
        outside_total=tuple(parts.outside),
        times=parts.times,
        counts={name: round(count, 9) for name, count in parts.counts.items()},
        sources={place: f"{number.confidence}: {number.source}" for place, number in profile.numbers()},
        memory_bits=dict(memory_bits),
        notes=tuple(notes),
    )


def _paced_static(parts: _Parts, period_s: float) -> Range:
    """Static energy of one period: the power of the running chip while busy, that of the resting chip for the remainder."""

    def one(busy: float, running: float, rest: float) -> float:
        return running * busy + rest * max(period_s - busy, 0.0)

    busy, running, rest = parts.busy_s, parts.running_power_w, parts.rest_power_w
    ends = (busy.low, busy.typical, busy.high)  # a longer run may cost less here: the resting power counts for the remainder alone
    return Range(
        min(one(end, running.low, rest.low) for end in ends),
        one(busy.typical, running.typical, rest.typical),
        max(one(end, running.high, rest.high) for end in ends),
    )


def _cores(profile: HardwareProfile, activity: Activity) -> _Parts:
    """Loihi class: E = sum of counts x energies + P_static T; T = ticks (max over cores and links + barrier)."""
    energy, time = profile.energy, profile.time
    assert energy is not None  # the schema demands both of this kind
    assert time is not None
    share = 1.0 / activity.samples
    ticks = activity.ticks * share
    sums = {name: sum(getattr(core, name) for core in activity.cores) * share for name in _COUNTED}
    parts = _Parts()
    parts.dynamic = {
        "barrier": energy.tick_j.range * ticks,
        "compartments": energy.compartment_access_j.range * sums["accesses"] + energy.compartment_update_j.range * sums["updates"],
        "spikes": energy.spike_j.range * sums["spikes"],
        "messages": energy.message_j.range * sums["messages"] + energy.message_received_j.range * sums["messages_received"],
        "synapses": energy.synaptic_operation_j.range * sums["synaptic_operations"],
        "hops": energy.tile_message_j.range * (activity.tile_messages * share)
        + energy.hop_east_west_j.range * (activity.hops_east_west * share)
        + energy.hop_north_south_j.range * (activity.hops_north_south * share),
    }
    work = (
        largest([core_time(core, time) for core in activity.cores] + [time.link_message_s.range * activity.busiest_link_messages]) * share
    )
    barrier = time.barrier(activity.tiles) * ticks
    host = time.host_tick_s.range * (activity.host_ticks * share)
    parts.times = {"cores": work, "barrier": barrier, "host_input": host}
    parts.busy_s = work + barrier
    latency_ticks = ticks if activity.latency_ticks is None else activity.latency_ticks
    parts.latency_s = parts.busy_s * (latency_ticks / ticks) if ticks else ZERO
    parts.running_power_w = parts.rest_power_w = profile.power.static_power_w.range
    parts.outside = {"host_input": profile.power.static_power_w.range * host}
    parts.counts = {"ticks": ticks, "cores": float(len(activity.cores)), **sums, "host_ticks": activity.host_ticks * share}
    parts.notes.append("host_input: time and static energy if the host feeds every sample while the chip waits; not in the totals")
    return parts


_COUNTED = ("accesses", "updates", "spikes", "messages", "messages_received", "synaptic_operations")


def core_time(core: CoreCounts, time: CoreTime) -> Range:
    """Busy time of one core over the run.

    A core updates its compartments and sends, while it takes in the messages of the tick before: the longer of the two counts, and the
    compartments that did not send stand in both (the form of SANA-FE's "simple" timing, reproduced to its digits by a test).
    """
    if core.busy_s is not None:
        return exactly(core.busy_s)
    advance = time.compartment_access_s.range * core.accesses + time.compartment_update_s.range * core.updates
    send = time.spike_s.range * core.spikes + time.message_s.range * core.messages
    receive = time.message_received_s.range * core.messages_received + time.synaptic_operation_s.range * core.synaptic_operations
    silent = 1.0 - min(core.spikes / core.accesses, 1.0) if core.accesses else 1.0
    return largest([advance + send, advance * silent + receive])


def _layers(profile: HardwareProfile, activity: Activity) -> _Parts:
    """Akida class: E = P_static T + E(events); T linear in events, layer after layer, plus the exchange with the host and its own work."""
    neural, host = profile.neural, profile.host
    assert neural is not None  # the schema demands both of this kind
    assert host is not None
    share = 1.0 / activity.samples
    events = sum(layer.events for layer in activity.layers) * share
    operations = sum(layer.events * layer.outputs for layer in activity.layers) * share
    serial = sum(layer.events * -(-layer.outputs // layer.processors) for layer in activity.layers) * share
    cycles = neural.cycles_per_synaptic_operation.range * serial + neural.cycles_per_layer.range * float(len(activity.layers))
    work = cycles.divided_by(neural.clock_hz.range)
    exchange = neural.host_round_trip_s.range * activity.rounds
    host_cycles = cycles_of(host, activity.operations) * share
    host_work = host_cycles.divided_by(host.clock_hz.range)
    parts = _Parts()
    parts.times = {"layers": work, "barrier": ZERO, "host_input": exchange, "host_work": host_work}
    parts.busy_s = parts.latency_s = work + exchange + host_work
    parts.running_power_w = parts.rest_power_w = profile.power.static_power_w.range
    parts.dynamic = {
        "barrier": ZERO,
        "synapses": neural.synaptic_operation_j.range * operations + neural.input_event_j.range * events,
        "host_work": host_cycles * host.energy_per_cycle_j.range,
    }
    parts.outside = {
        "host_input": profile.power.static_power_w.range * exchange,
        "host_idle": host.sleep_power_w.range * parts.busy_s,
    }
    parts.counts = {"layers": float(len(activity.layers)), "events": events, "synaptic_operations": operations, "rounds": activity.rounds}
    parts.notes.append(
        "host_input: the static energy of the exchange with the host, which is already inside `static`; shown, not added twice"
    )
    parts.notes.append("host_idle: the host's own rest power while a sample runs; not in the totals")
    return parts


def _program(profile: HardwareProfile, activity: Activity) -> _Parts:
    """Microcontroller class: E = energy per cycle x cycles + P_sleep (period - T); cycles = sum of operations x cycles per operation."""
    processor = profile.processor
    assert processor is not None  # the schema demands it of this kind
    cycles = cycles_of(processor, activity.operations) * (1.0 / activity.samples)
    parts = _Parts()
    parts.busy_s = parts.latency_s = cycles.divided_by(processor.clock_hz.range)
    parts.times = {"program": parts.busy_s, "barrier": ZERO, "host_input": ZERO}
    parts.dynamic = {"barrier": ZERO, "host_input": ZERO, "program": cycles * processor.energy_per_cycle_j.range}
    parts.rest_power_w = processor.sleep_power_w.range
    parts.counts = {"cycles_typical": cycles.typical, **{name: count / activity.samples for name, count in activity.operations.items()}}
    parts.notes.append("cycles are estimated from the operations of the integer program, not measured on the part")
    return parts


def cycles_of(processor: Processor, operations: Mapping[str, float]) -> Range:
    """Cycles of so many operations. ProfileError names an operation that the profile does not know."""
    known = processor.cycles_per_operation
    for name in operations:
        if name not in known:
            raise ProfileError(f"cycles_per_operation must have an entry for `{name}`, but has {', '.join(known)}; add it to the profile")
    return total(known[name].range * count for name, count in operations.items())
