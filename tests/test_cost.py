"""Cost arithmetic against closed forms and against published measurements (the sources stand in the profiles)."""

import dataclasses

import pytest

import hardware_profiles
from hardware_profiles import Activity, CoreCounts, LayerCounts, ProfileError, Range, estimate
from hardware_profiles.estimates import cycles_of

LOIHI2 = hardware_profiles.load("loihi2")

# SANA-FE 2.2.9's Loihi constants: energies of access, update, spike, message, synapse; times of the same; barrier by tiles.
SANA_FE = hardware_profiles.load("loihi1").replace(
    {
        "power.static_power_w": 0.0,
        "energy.tick_j": 0.0,
        "energy.compartment_access_j": 51.2e-12,
        "energy.compartment_update_j": 21.6e-12,
        "energy.spike_j": 69.3e-12,
        "energy.message_j": 111e-12,
        "energy.message_received_j": 0.0,
        "energy.synaptic_operation_j": 35.5e-12,
        "energy.tile_message_j": 0.0,
        "energy.hop_east_west_j": 3.0e-12,
        "energy.hop_north_south_j": 4.2e-12,
        "time.compartment_access_s": 6.0e-9,
        "time.compartment_update_s": 3.7e-9,
        "time.spike_s": 30.0e-9,
        "time.message_s": 5.1e-9,
        "time.message_received_s": 16.0e-9,
        "time.synaptic_operation_s": 3.8e-9,
        "time.link_message_s": 0.0,
        "time.barrier_from_tiles_s.1": 0.6e-6,
        "time.barrier_from_tiles_s.2": 1.0e-6,
        "time.barrier_from_tiles_s.4": 1.4e-6,
    },
    name="sana-fe",
)


def spread(neurons: int, firing: float, fan_out: float, cores: int, updated: bool = True) -> tuple[CoreCounts, ...]:
    """One tick of a random network, evenly spread; a spike reaches every core that has at least one of its targets."""
    spikes, here = firing * neurons, neurons / cores
    reached = cores * (1.0 - (1.0 - 1.0 / cores) ** fan_out) if cores > 1 else 1.0
    one = CoreCounts(
        accesses=here,
        updates=here if updated else 0.0,
        spikes=spikes / cores,
        messages=spikes * reached / cores,
        messages_received=spikes * reached / cores,
        synaptic_operations=spikes * fan_out / cores,
    )
    return (one,) * cores


def tick(cores: tuple[CoreCounts, ...], **more: float) -> tuple[float, float]:
    """(nanojoules, microseconds) of one tick with SANA-FE's constants."""
    cost = estimate(SANA_FE, Activity(samples=1, ticks=1, cores=cores, **more))
    return cost.energy_j.typical * 1e9, cost.busy_s.typical * 1e6


def test_silent_neurons_equal_sana_fe() -> None:
    assert tick(spread(19, 0.0, 0, 1)) == pytest.approx((1.3832, 0.7843), rel=1e-12)
    assert tick(spread(19, 0.0, 0, 1, updated=False)) == pytest.approx((0.9728, 0.7140), rel=1e-12)


@pytest.mark.parametrize(
    ("neurons", "firing", "fan_out", "cores", "tiles", "north_south", "energy_nj", "time_us"),
    [
        (19, 0.09, 19, 1, 1, 0, 2.845, 0.919),
        (19, 0.50, 19, 1, 1, 0, 9.50, 1.53),
        (128, 0.09, 128, 1, 1, 0, 63.7, 7.52),
        (1000, 0.09, 100, 1, 1, 0, 408.5, 45.1),
        (1000, 0.09, 100, 4, 1, 0, 438.5, 12.9),
        (1000, 0.09, 100, 16, 4, 1437 * 1.25, 565.7, 5.60),
    ],
)
def test_active_networks_equal_sana_fe(
    neurons: int, firing: float, fan_out: int, cores: int, tiles: int, north_south: float, energy_nj: float, time_us: float
) -> None:
    energy, time = tick(spread(neurons, firing, fan_out, cores), tiles=tiles, hops_north_south=north_south)
    # Its results are means of 1,000 random ticks, printed to three or four digits; energy is a closed form, time takes the mean core.
    assert energy == pytest.approx(energy_nj, rel=2e-3)
    assert time == pytest.approx(time_us, rel=2e-2)


def test_a27_energy_adds_over_cores_and_time_does_not() -> None:
    zero = {place: 0.0 for place, _ in LOIHI2.numbers() if place.startswith(("energy.", "time.")) and "barrier" not in place}
    profile = LOIHI2.replace(
        {
            **zero,
            "energy.hop_east_west_j": 3.0e-12,
            "energy.hop_north_south_j": 4.2e-12,
            "energy.synaptic_operation_j": 35.5e-12,
            "time.barrier_from_tiles_s.1": 299e-9,
            "time.barrier_from_tiles_s.2": 299e-9,
            "power.static_power_w": 1e-3,
        },
        name="copy",
    )
    cores = (CoreCounts(spikes=3, messages=3, busy_s=10 * 3e-6), CoreCounts(messages_received=3, synaptic_operations=12, busy_s=10 * 7e-6))
    activity = Activity(samples=1, ticks=10, cores=cores, tiles=2, hops_east_west=3 * 2, hops_north_south=3 * 1)
    cost = estimate(profile, activity)
    assert cost.components["hops"].typical == pytest.approx(30.6e-12, rel=1e-12)
    assert cost.components["synapses"].typical == pytest.approx(426e-12, rel=1e-12)
    assert cost.busy_s.typical == pytest.approx(72.99e-6, rel=1e-12)
    assert cost.components["static"].typical == pytest.approx(72.99e-9, rel=1e-12)
    assert cost.energy_j.typical == pytest.approx(72.99e-9 + 456.6e-12, rel=1e-12)


@pytest.mark.parametrize(
    ("time_us", "static_nj", "dynamic_nj", "total_nj"),
    [(1.1637, 249.7, 26.7, 276.5), (1.1639, 249.7, 31.9, 281.6), (1.1639, 247.4, 31.7, 279.1), (1.1638, 247.7, 29.3, 277.0)],
    ids=["M1", "M2", "M3", "M4"],
)
def test_two_neurons_on_loihi2_as_measured(time_us: float, static_nj: float, dynamic_nj: float, total_nj: float) -> None:
    # NECOTIS: two LIF neurons, one synapse, at most 0.1 spikes per tick, free running.
    one = CoreCounts(accesses=2, updates=2, spikes=0.1, messages=0.1, messages_received=0.1, synaptic_operations=0.1)
    cost = estimate(LOIHI2, Activity(samples=1, ticks=1, cores=(one,)))
    assert cost.busy_s.contains(time_us * 1e-6)
    assert cost.components["static"].contains(static_nj * 1e-9)
    assert cost.dynamic_j.contains(dynamic_nj * 1e-9)
    assert cost.energy_j.contains(total_nj * 1e-9)
    assert cost.energy_j.typical == pytest.approx(total_nj * 1e-9, rel=0.1)


def nineteen(ticks: int = 1) -> Activity:
    """19 neurons, 360 synapses, 10 % of the neurons sending per tick, on one core."""
    one = CoreCounts(accesses=19, updates=19, spikes=1.9, messages=1.9, messages_received=1.9, synaptic_operations=36)
    return Activity(
        samples=1, ticks=ticks, cores=(dataclasses.replace(one, **{k: v * ticks for k, v in vars(one).items() if v is not None}),)
    )


def test_nineteen_neurons_on_loihi2_free_running_and_paced() -> None:
    cost = estimate(LOIHI2, nineteen(), sample_period_s=0.05)
    assert 1.16e-6 <= cost.busy_s.low <= cost.busy_s.high <= 3e-6
    assert 0.27e-6 <= cost.energy_j.low <= cost.energy_j.high <= 0.6e-6
    assert cost.energy_paced_j is not None
    assert cost.energy_paced_j.low == pytest.approx(0.0105, rel=1e-3)
    assert cost.energy_paced_j.typical == pytest.approx(0.012, rel=0.05)
    assert cost.energy_paced_j.high == pytest.approx(0.014, rel=1e-3)
    # The network's own operations: less than a third of a free-running tick, less than 1e-4 of a paced one.
    own = sum(cost.components[name].typical for name in ("compartments", "spikes", "messages", "synapses", "hops"))
    assert own < cost.energy_j.typical / 3
    assert own < 1e-4 * cost.energy_paced_j.typical


def test_paced_energy_hardly_depends_on_ticks_but_free_running_does() -> None:
    one, twelve = (estimate(LOIHI2, nineteen(ticks), sample_period_s=0.05) for ticks in (1, 12))
    assert twelve.energy_j.typical == pytest.approx(12 * one.energy_j.typical, rel=1e-9)
    assert one.energy_paced_j is not None
    assert twelve.energy_paced_j is not None
    assert twelve.energy_paced_j.typical == pytest.approx(one.energy_paced_j.typical, rel=1e-3)


@pytest.mark.parametrize(
    ("time_ms", "power_w", "total_mj"),
    [(3.373, 0.1102, 0.372), (7.947, 0.1075, 0.854), (8.745, 0.1100, 0.962), (8.747, 0.1173, 1.026), (8.772, 0.1248, 1.095)],
    ids=["L1", "L2", "L4", "L6", "L8"],
)
def test_host_fed_loihi1_as_measured(time_ms: float, power_w: float, total_mj: float) -> None:
    # abr/power_benchmarks: 10 host-fed ticks per inference; the host step sets the time, static power nearly all of the energy.
    cost = estimate(hardware_profiles.load("loihi1"), Activity(samples=1, ticks=10, cores=spread(512, 0.9, 256, 2), host_ticks=10))
    assert cost.times["host_input"].contains(time_ms * 1e-3)
    assert hardware_profiles.load("loihi1").power.static_power_w.range.contains(power_w)
    assert cost.components["host_input"].contains(total_mj * 1e-3)


@pytest.mark.parametrize(
    ("energy_uj", "latency_ms"),
    [
        (431.2, 9.650), (4635.7, 97.11), (12298, 252.4), (12293, 254.5), (323.0, 7.571), (3371.7, 75.11), (10682, 226.8), (10067, 225.9),
        (293.9, 6.863), (2833.1, 62.96), (7019, 200.7), (5618, 118.9),
    ],
)  # fmt: skip
def test_energy_per_cycle_of_the_cortex_m4_as_measured(energy_uj: float, latency_ms: float) -> None:
    # MLPerf Tiny, STM32L4R5 at 120 MHz and 1.8 V (C1 to C12): energy / (time x clock).
    processor = hardware_profiles.load("cortex_m4").processor
    cycles = latency_ms * 1e-3 * processor.clock_hz.typical
    assert (processor.energy_per_cycle_j.range * cycles).contains(energy_uj * 1e-6)


@pytest.mark.parametrize("name", hardware_profiles.available())
def test_static_barrier_and_host_input_are_separate_and_the_total_is_the_sum(name: str) -> None:
    profile = hardware_profiles.load(name)
    layers = (LayerCounts("cell.ff1", events=500.0, outputs=19, processors=1),)
    activity = dataclasses.replace(nineteen(12), layers=layers, operations={"add": 1000.0, "multiply": 200.0}, host_ticks=1)
    for mode in ("free_running", "paced"):
        cost = estimate(profile, activity, sample_period_s=0.05, mode=mode)
        assert {"static", "barrier", "host_input"} <= set(cost.components)
        inside = [part for name, part in cost.components.items() if name not in cost.outside_total]
        expected = cost.energy_j if mode == "free_running" else cost.energy_paced_j
        assert expected is not None
        for end in ("low", "typical", "high"):
            assert sum(getattr(part, end) for part in inside) == pytest.approx(getattr(expected, end), rel=1e-12)
        assert cost.to_json()["per"] == "sample"
        assert cost.sources


def test_costs_are_per_sample() -> None:
    one = estimate(LOIHI2, nineteen(12))
    ten = estimate(LOIHI2, dataclasses.replace(nineteen(120), samples=10))
    assert ten.energy_j.typical == pytest.approx(one.energy_j.typical, rel=1e-12)
    assert ten.latency_s.typical == pytest.approx(one.latency_s.typical, rel=1e-12)


def test_without_a_period_there_is_no_paced_energy_and_paced_mode_is_refused() -> None:
    assert estimate(LOIHI2, nineteen()).energy_paced_j is None
    with pytest.raises(ValueError, match="`sample_period_s` must be given"):
        estimate(LOIHI2, nineteen(), mode="paced")
    with pytest.raises(ValueError, match='must be "free_running" or "paced", but is "fast"'):
        estimate(LOIHI2, nineteen(), mode="fast")


def test_a_chip_that_cannot_keep_up_says_so() -> None:
    cost = estimate(LOIHI2, nineteen(12), sample_period_s=1e-6)
    assert any("may fall behind" in note for note in cost.notes)


def test_a_duty_cycled_microcontroller_sleeps_between_samples() -> None:
    profile = hardware_profiles.load("cortex_m4")
    cost = estimate(profile, Activity(samples=1, operations={"add": 20_000}), sample_period_s=0.05)
    assert cost.energy_j.typical == pytest.approx(20_000 * 365e-12)
    assert cost.energy_paced_j is not None
    assert cost.energy_paced_j.typical == pytest.approx(20_000 * 365e-12 + 3e-6 * (0.05 - 20_000 / 120e6))


def test_a_microcontroller_that_may_miss_the_next_sample_keeps_an_ordered_range() -> None:
    cost = estimate(hardware_profiles.load("cortex_m0plus"), Activity(samples=1, operations={"select": 20_000}), sample_period_s=1e-3)
    assert cost.busy_s.typical < 1e-3 < cost.busy_s.high
    assert cost.energy_paced_j is not None
    assert cost.energy_paced_j.low <= cost.energy_paced_j.typical <= cost.energy_paced_j.high
    assert any("may fall behind" in note for note in cost.notes)


def test_unknown_operations_are_named() -> None:
    with pytest.raises(ProfileError, match="`tangent`"):
        cycles_of(hardware_profiles.load("cortex_m4").processor, {"tangent": 1})


def test_ranges_keep_their_order() -> None:
    with pytest.raises(ValueError, match="low <= typical <= high"):
        Range(2.0, 1.0, 3.0)
    assert Range(1, 2, 3).divided_by(Range(1, 2, 4)) == Range(0.25, 1.0, 3.0)
    assert 2.0 * Range(1, 2, 3) + Range(1, 1, 1) == Range(3, 5, 7)
