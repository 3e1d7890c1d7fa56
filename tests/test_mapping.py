"""Mappings: fewest cores, balance, design rules, and the cost of a mapped run."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

import hardware_profiles
import liquid_neuro
import mappers
from hardware_profiles.fixed_point import QFormat
from liquid_neuro.quantized_network import Population, Projection, QuantizedNetwork
from mappers import MappingError
from mappers.operation_counts import Counted, operations_per_sample, program_operations, runs_per_sample
from mappers.resources import core_use
from mappers.routing import hops, link_loads, route

LOIHI2 = hardware_profiles.load("loihi2")


NEURON_PARAMETERS = ("capacitance", "leak", "driven_leak", "ratio", "ratio_shift", "fraction", "guard")


def population(name: str, size: int, program: str = "ltc.neuron", **changes: object) -> Population:
    if program == "ltc.neuron":
        parameters = {one: np.ones(size, dtype=np.int64) for one in NEURON_PARAMETERS}
        changes = {"parameters": parameters, "tables": {"reciprocal": np.ones(129, dtype=np.int64)}, **changes}
    values = {
        "name": name, "program": program, "size": size, "parameters": {}, "tables": {}, "state": QFormat(16, 13), "message_shift": 3,
        "message_bits": 13, "threshold": 1, "first_tick": 0, "period": 1, "labels": tuple(f"{name}_{k}" for k in range(size)),
    }  # fmt: skip
    return Population(**{**values, **changes})


def synapses(source: str, target: str, pairs: list[tuple[int, int]], weight_bits: int = 8) -> Projection:
    pairs = sorted(pairs)
    columns = (np.array([pair[k] for pair in pairs], dtype=np.int64) for k in (0, 1))
    return Projection(source, target, "driven", *columns, np.full(len(pairs), 2, dtype=np.int64), "mixed", weight_bits)


def quantized(populations: list[Population], projections: list[Projection], **changes: object) -> QuantizedNetwork:
    network = SimpleNamespace(cell="ltc", units=sum(one.size for one in populations if one.program), solver=None, wiring=None)
    values = {
        "network": network, "profile": "loihi2", "kind": "loihi", "target": liquid_neuro.Fused(6), "formats": None, "ticks_per_sample": 1,
        "read_tick": 0, "accumulator_bits": 24, "populations": tuple(populations), "projections": tuple(projections),
        "input_format": QFormat(16, 10), "output_population": populations[-1].name, "output_compartments": np.zeros(1, dtype=np.int64),
        "output_gain": np.ones(1), "output_offset": np.zeros(1),
    }  # fmt: skip
    return QuantizedNetwork(**{**values, **changes})


def ring(size: int = 12) -> QuantizedNetwork:
    pairs = [(k, (k + 1) % size) for k in range(size)]
    return quantized(
        [population("input", 1, ""), population("neuron", size)],
        [synapses("input", "neuron", [(0, 0)]), synapses("neuron", "neuron", pairs)],
    )


@pytest.fixture(scope="module")
def ltc_quantized() -> QuantizedNetwork:
    network = liquid_neuro.ltc(liquid_neuro.Wiring.auto_ncp(8, 19, 1))
    return mappers.quantize(network, LOIHI2, input_range=(-2.0, 2.0))


def test_a19_a_core_limit_exceeded_by_one() -> None:
    profile = LOIHI2.replace({"limits.compartments_per_core": 1024}, name="copy")
    lonely = quantized([population("neuron", 1025)], [])
    for refused in (
        lambda: mappers.map_network(lonely, profile, cores=1),
        lambda: mappers.map_network(lonely, profile.replace({"mesh.cores": 1})),
    ):
        with pytest.raises(MappingError) as error:
            refused()
        assert "compartments_per_core" in str(error.value)
        assert "1025" in str(error.value)
        assert "1024" in str(error.value)
    for cores in (None, 2):
        mapping = mappers.map_network(lonely, profile, cores=cores)
        assert mapping.cores == 2
        assert mapping.compartments_per_core.sum() == 1025
        assert mappers.check(mapping) == []
    exact = mappers.map_network(quantized([population("neuron", 1024)], []), profile)
    assert exact.cores == 1
    assert mappers.check(exact) == []


def test_a17_traffic_of_a_mapped_network_is_multicast() -> None:
    pairs = [(0, 3), (0, 4), (1, 1), (3, 0), (3, 1), (3, 2), (5, 2), (2, 0)]
    six = quantized([population("neuron", 6)], [synapses("neuron", "neuron", pairs)])
    profile = LOIHI2.replace({"limits.compartments_per_core": 3}, name="copy")
    mapping = mappers.map_network(six, profile, traffic={"neuron": np.array([4, 8, 1, 16, 2, 6])})
    assert mapping.cores == 2
    assert mapping.messages_before == 26
    assert mapping.messages_after == 17


def test_a18_as_many_cores_as_neurons() -> None:
    mapping = mappers.map_network(ring(5), LOIHI2.replace({"limits.compartments_per_core": 1, "mesh.cores": 5}, name="copy"))
    assert mapping.compartments_per_core.tolist() == [1] * 5
    assert mappers.check(mapping) == []


def test_fewest_cores_and_even_spreading() -> None:
    assert mappers.map_network(ring(), LOIHI2).cores == 1
    mapping = mappers.map_network(ring(), LOIHI2, cores=4)
    assert mapping.compartments_per_core.max() <= 4
    assert mapping.messages_after == 4
    assert mappers.check(mapping) == []
    with pytest.raises(MappingError, match="129 needed, 128 available"):
        mappers.map_network(ring(), LOIHI2, cores=129)
    with pytest.raises(MappingError, match="at most the 12 compartments of the network, but is 13"):
        mappers.map_network(ring(), LOIHI2, cores=13)


def test_placement_lowers_hops_and_is_deterministic(ltc_quantized: QuantizedNetwork) -> None:
    one, two = (mappers.map_network(ltc_quantized, LOIHI2, cores=16) for _ in range(2))
    assert 0 < one.hops_after < one.hops_before
    assert one.hops_after == two.hops_after
    assert all((one.core_of[name] == two.core_of[name]).all() for name in one.core_of)
    assert (one.core_xy == two.core_xy).all()
    assert one.hops_after == hops(one.traffic, one.core_xy).total
    assert (one.core_of["input"] == -1).all()


def test_traffic_may_be_events_of_the_units(ltc_quantized: QuantizedNetwork) -> None:
    counts = np.arange(19)
    mapping = mappers.map_network(ltc_quantized, LOIHI2, traffic=counts, cores=4)
    # Each gate has one source and sends as often as it, so what leaves the cores is bounded by all events once per reached core.
    assert (
        0
        < mapping.traffic.sum()
        <= 4
        * sum(
            (counts[p.source].sum() if p.source_population == "neuron" else counts.max() * len(p.source)) for p in ltc_quantized.projections
        )
    )
    with pytest.raises(MappingError, match=r"must have the shape \(19,\)"):
        mappers.map_network(ltc_quantized, LOIHI2, traffic=np.ones(5))


def test_memory_that_does_not_fit_takes_more_cores_or_is_refused(ltc_quantized: QuantizedNetwork) -> None:
    small = LOIHI2.replace({"limits.memory_per_core_bits": 16_000}, name="copy")
    mapping = mappers.map_network(ltc_quantized, small)
    assert mapping.cores > 1
    assert mapping.memory_bits.max() <= 16_000
    with pytest.raises(MappingError, match="memory_per_core_bits"):
        mappers.map_network(ltc_quantized, small, cores=1)


def test_memory_model_counts_every_part() -> None:
    use = core_use(ring(), LOIHI2, {"input": np.array([-1]), "neuron": np.zeros(12, dtype=np.int64)}, 1)
    assert use.synapse_bits.tolist() == [13 * (8 + 8)]
    assert use.compartment_bits.tolist() == [12 * 3 * 24]  # state, last message, one accumulator
    assert (use.input_axons.tolist(), use.output_axons.tolist()) == ([13], [12])
    assert use.table_bits.tolist() == [129 * 16 + 7 * 24]  # the table and the parameters that all compartments share, once
    assert use.memory_bits.tolist() == [13 * 16 + 12 * 72 + 129 * 16 + 7 * 24 + 25 * 32]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"state": QFormat(25, 13)}, "state_bits"),
        ({"message_bits": 25}, "message_bits"),
    ],
)
def test_words_wider_than_the_chips_are_refused(changes: dict, rule: str) -> None:
    with pytest.raises(MappingError, match=f"{rule}: population neuron needs 25, but 24 are available"):
        mappers.map_network(quantized([population("neuron", 3, **changes)], []), LOIHI2)


def test_wide_weights_and_accumulators_are_refused() -> None:
    wide = quantized([population("neuron", 3)], [synapses("neuron", "neuron", [(0, 1)], weight_bits=9)])
    with pytest.raises(MappingError, match=r"weight_bits: projection neuron -> neuron.driven needs 9, but 8 are available"):
        mappers.map_network(wide, LOIHI2)
    with pytest.raises(MappingError, match="accumulator_bits: the network needs 32"):
        mappers.map_network(quantized([population("neuron", 3)], [], accumulator_bits=32), LOIHI2)


def test_a20_graded_messages_are_refused_by_a_chip_of_binary_spikes(ltc_quantized: QuantizedNetwork) -> None:
    with pytest.raises(MappingError, match=r"message_bits: .*but 1 are available"):
        mappers.map_network(ltc_quantized, hardware_profiles.load("loihi1"))


@pytest.mark.parametrize(("units", "text"), [(19, "19 units, but it must be a power of two <= 256; 32 would do"), (300, "use fewer units")])
def test_a20_widths_of_a_stateful_core_are_powers_of_two(units: int, text: str) -> None:
    layer = quantized([population("input", 3, ""), population("cell.heads", units, "cfc_heads.head")], [], kind="akida")
    with pytest.raises(MappingError) as error:
        mappers.map_network(layer, hardware_profiles.load("akida_pico"))
    assert text in str(error.value)


def test_a20_dense_layers_are_refused_by_a_core_without_them() -> None:
    layer = quantized([population("input", 3, ""), population("cell.heads", 32, "cfc_heads.head")], [], kind="akida")
    with pytest.raises(MappingError, match="dense_layers_max: the network needs 1, but 0 are available"):
        mappers.map_network(layer, hardware_profiles.load("akida_pico"))


def dense(inputs: int, outputs: int) -> QuantizedNetwork:
    pairs = [(i, j) for i in range(inputs) for j in range(outputs)]
    heads = population("cell.heads", outputs, "cfc_heads.head", message_bits=4, state=QFormat(4, 0, signed=False))
    return quantized([population("input", inputs, "", message_bits=4), heads], [synapses("input", "cell.heads", pairs, 4)], kind="akida")


def test_dense_layers_are_split_over_neural_processors_by_outputs_and_memory() -> None:
    profile = hardware_profiles.load("akida1500")
    one = mappers.map_network(dense(20, 30), profile)
    assert one.cores == 1
    assert one.memory_bits.tolist() == [20 * 30 * 4]
    small = profile.replace({"neural.max_outputs_per_processor": 8}, name="copy")
    four = mappers.map_network(dense(20, 30), small)
    assert four.cores == 4
    assert four.compartments_per_core.max() <= 8
    narrow = profile.replace({"neural.memory_per_processor_bits": 900}, name="copy")
    assert mappers.map_network(dense(20, 30), narrow).cores == 3
    with pytest.raises(MappingError, match=r"memory_per_processor_bits: one output of layer cell\.heads needs 80, 79 available"):
        mappers.map_network(dense(20, 30), profile.replace({"neural.memory_per_processor_bits": 79}))
    with pytest.raises(MappingError, match="neural_processors: 300 needed, 32 available"):
        mappers.map_network(dense(20, 300), profile.replace({"neural.max_outputs_per_processor": 1}))
    with pytest.raises(MappingError, match=r"max_inputs: layer cell\.heads needs 20, but 19 are available"):
        mappers.map_network(dense(20, 30), profile.replace({"neural.max_inputs": 19}))


def test_too_many_axons_take_more_cores() -> None:
    few = LOIHI2.replace({"limits.output_axons_per_core": 8}, name="copy")
    mapping = mappers.map_network(ring(), few)
    assert mapping.cores == 2
    assert mappers.check(mapping) == []


def test_check_finds_what_a_hand_made_mapping_breaks() -> None:
    good = mappers.map_network(ring(), LOIHI2, cores=2)
    empty = dataclasses.replace(good, core_of={**good.core_of, "neuron": np.zeros(12, dtype=np.int64)})
    assert any(violation.rule == "core_not_empty" for violation in mappers.check(empty))
    away = dataclasses.replace(good, core_of={**good.core_of, "neuron": np.full(12, 7)})
    assert any(violation.rule == "core_of" for violation in mappers.check(away))


def test_the_kind_of_chip_must_be_that_of_the_quantisation(ltc_quantized: QuantizedNetwork) -> None:
    with pytest.raises(MappingError, match='must be of kind "loihi"'):
        mappers.map_network(ltc_quantized, hardware_profiles.load("cortex_m4"))
    with pytest.raises(MappingError, match="`placer` must be one of"):
        mappers.map_network(ltc_quantized, LOIHI2, placer="magic")


def test_routes_go_along_x_then_y_and_links_are_counted() -> None:
    assert route((0, 0), (2, 1)) == [((0, 0), (1, 0)), ((1, 0), (2, 0)), ((2, 0), (2, 1))]
    traffic = np.array([[5.0, 3.0, 0.0], [0.0, 0.0, 0.0], [2.0, 4.0, 0.0]])
    places = np.array([(0, 0), (2, 1), (0, 0)])
    onward = hops(traffic, places)
    assert (onward.east_west, onward.north_south, onward.tile_messages) == (3 * 2 + 4 * 2, 3 + 4, 2)
    assert link_loads(traffic, places)[((0, 0), (1, 0))] == 7 == onward.busiest_link


# --- cost of a mapped run ----------------------------------------------------------------------------------------------------------------


def chip_run(network: QuantizedNetwork, spikes: dict[str, np.ndarray], ticks: int, samples: int, period_s: float = 0.05) -> SimpleNamespace:
    stored = np.array([int(spikes[p.source_population][p.source].sum()) for p in network.projections])
    activity = SimpleNamespace(ticks=ticks, samples=samples, spikes=spikes, stored_operations=stored)
    return SimpleNamespace(
        activity=activity,
        output_samples=np.zeros((samples, 1)),
        state_times_s=np.arange(samples + 1) * period_s,
        neuron_synaptic_operations=int(stored.sum()),
    )


def test_counts_of_a_run_follow_the_mapping() -> None:
    network = dataclasses.replace(ring(), network=liquid_neuro.ltc(liquid_neuro.Wiring.auto_ncp(1, 12, 1)))
    mapping = mappers.map_network(network, LOIHI2, cores=4)
    run = chip_run(network, {"input": np.array([4]), "neuron": np.full(12, 10)}, ticks=20, samples=20)
    cost = mappers.cost(mapping, run)
    assert cost.counts["synaptic_operations"] == (4 + 12 * 10) / 20
    assert cost.counts["accesses"] == cost.counts["updates"] == 12
    assert cost.counts["spikes"] == 120 / 20
    assert cost.counts["messages"] == 120 / 20  # in a ring every spike has one destination core
    assert cost.counts["messages_received"] == 124 / 20
    assert cost.sample_period_s == pytest.approx(0.05)
    assert cost.energy_paced_j is not None
    assert cost.energy_paced_j.typical == pytest.approx(0.23 * 0.05, rel=1e-3)
    assert cost.memory_bits["worst_core"] <= cost.memory_bits["available_per_core"]


def test_a27_hops_of_a_mapped_multicast_spike() -> None:
    # Neuron 0 on tile (0, 0) has 4 synapses on the core at tile (2, 1) and sends 3 spikes.
    pairs = [(0, 1), (0, 2), (0, 3), (0, 4)]
    network = quantized([population("neuron", 5)], [synapses("neuron", "neuron", pairs)])
    network = dataclasses.replace(network, network=liquid_neuro.ltc(liquid_neuro.Wiring.auto_ncp(1, 5, 1)))
    profile = LOIHI2.replace(
        {"energy.hop_east_west_j": 3.0e-12, "energy.hop_north_south_j": 4.2e-12, "energy.synaptic_operation_j": 35.5e-12}, name="copy"
    )
    mapping = mappers.map_network(network, profile, cores=2)
    mapping = dataclasses.replace(mapping, core_of={"neuron": np.array([0, 1, 1, 1, 1])}, core_xy=np.array([(0, 0), (2, 1)]))
    cost = mappers.cost(mapping, chip_run(network, {"neuron": np.array([3, 0, 0, 0, 0])}, ticks=10, samples=10))
    assert 10 * cost.components["hops"].typical == pytest.approx(30.6e-12, rel=1e-12)
    assert 10 * cost.components["synapses"].typical == pytest.approx(426e-12, rel=1e-12)


def test_spreading_shortens_the_tick_and_costs_messages(ltc_quantized: QuantizedNetwork) -> None:
    spikes = {one.name: np.full(one.size, 1000, dtype=np.int64) for one in ltc_quantized.populations}
    run = chip_run(ltc_quantized, spikes, ticks=1200, samples=100)
    one, four = (mappers.cost(mappers.map_network(ltc_quantized, LOIHI2, cores=cores), run) for cores in (1, 4))
    assert four.times["cores"].typical < one.times["cores"].typical / 2
    assert four.counts["messages"] > one.counts["messages"]
    assert one.latency_s.typical > one.busy_s.typical  # the answer is read one tick after the last of the sample
    assert one.counts["products"] == 2 * (6 * 47 + 40)


def test_a_float_run_is_refused(ltc_quantized: QuantizedNetwork) -> None:
    mapping = mappers.map_network(ltc_quantized, LOIHI2)
    with pytest.raises(ValueError, match="must be a chip run"):
        mappers.cost(mapping, SimpleNamespace(activity=None))


def test_a26_products_of_a_wired_cfc() -> None:
    from mappers.costing import products_per_sample

    network = liquid_neuro.cfc(liquid_neuro.Wiring.auto_ncp(3, 19, 1))
    assert products_per_sample(network) == 2 * 228 + 2 * 288 == 1032


# --- microcontrollers -------------------------------------------------------------------------------------------------------------------


def test_counted_integers_compute_and_count() -> None:
    from collections import Counter

    counts: Counter[str] = Counter()
    x = Counted(3, counts)
    assert ((x + 2) * 4 - 1).value == 19
    assert counts == {"add": 2, "multiply": 1}


def test_operations_of_an_ltc_step_enclose_the_measured_instructions() -> None:
    # A prototype of the same network (19 neurons, 47 + 40 synapses, 6 unfolds) took 14,908 instructions per step on an emulated
    # Cortex-M4 and 31,810 on a Cortex-M0+ (gcc -O2). Instructions are not cycles; the estimate of cycles must not exclude them.
    network = liquid_neuro.ltc(liquid_neuro.Wiring.auto_ncp(8, 19, 1))
    for name, instructions in (("cortex_m4", 14_908), ("cortex_m0plus", 31_810)):
        profile = hardware_profiles.load(name)
        small = mappers.quantize(network, profile, input_range=(-2.0, 2.0))
        assert runs_per_sample(small) == {"input": 1, "sensory_gate": 1, "recurrent_gate": 6, "neuron": 6}
        mapping = mappers.map_network(small, profile)
        cost = mappers.cost(mapping, chip_run(small, {one.name: np.zeros(one.size) for one in small.populations}, 12, 1))
        assert cost.latency_s.contains(instructions / profile.processor.clock_hz.typical)
        assert any("estimated" in note for note in cost.notes)
        assert mapping.memory_bits[0] < mapping.memory_bits_available
        assert mapping.ram_bits < mapping.ram_bits_available


def test_program_counts_do_not_depend_on_values(ltc_quantized: QuantizedNetwork) -> None:
    gate = program_operations(ltc_quantized, ltc_quantized.population("recurrent_gate"))
    assert gate["load"] >= 2  # two table entries
    assert gate["multiply"] == 2
    neuron = program_operations(ltc_quantized, ltc_quantized.population("neuron"))
    assert neuron["bit_length"] == 2
    assert operations_per_sample(ltc_quantized)["multiply"] > 6 * 19 * neuron["multiply"]


def test_a_run_of_another_network_is_refused(ltc_quantized: QuantizedNetwork) -> None:
    network = dataclasses.replace(ring(), network=liquid_neuro.ltc(liquid_neuro.Wiring.auto_ncp(1, 12, 1)))
    mapping = mappers.map_network(network, LOIHI2)
    spikes = {"input": np.array([4]), "neuron": np.full(12, 10)}
    own = chip_run(network, spikes, ticks=20, samples=20)
    assert mappers.cost(mapping, own).counts["spikes"] == 120 / 20
    foreign = [
        ("size of population input is 1 instead of 8", mappers.map_network(ltc_quantized, LOIHI2), own),
        ("size of population neuron is 11 instead of 12", mapping, chip_run(ring(), {**spikes, "neuron": np.full(12, 10)}, 20, 20)),
        ("engine is frames instead of chip", mapping, SimpleNamespace(**{**vars(own), "engine": "frames"})),
    ]
    foreign[1][2].activity.spikes = {**spikes, "neuron": np.full(11, 10)}
    other = chip_run(network, spikes, ticks=20, samples=20)
    other.activity.stored_operations = other.activity.stored_operations + 100
    for text, chosen, run in (*foreign, ("synaptic operations from", mapping, other)):
        with pytest.raises(MappingError, match=text):
            mappers.cost(chosen, run)


@pytest.mark.parametrize("wrong", [np.nan, -1.0, np.inf])
def test_traffic_must_be_numbers_of_events(ltc_quantized: QuantizedNetwork, wrong: float) -> None:
    units = np.ones(ltc_quantized.network.units)
    units[0] = wrong
    for traffic in (units, {"neuron": units}):
        with pytest.raises(MappingError, match="must be finite and at least 0"):
            mappers.map_network(ltc_quantized, LOIHI2, traffic=traffic)
    with pytest.raises(MappingError, match='names "nobody"'):
        mappers.map_network(ltc_quantized, LOIHI2, traffic={"nobody": units})


def test_networks_and_mappings_are_saved_by_public_names(ltc_quantized: QuantizedNetwork, tmp_path) -> None:
    again = liquid_neuro.load_quantized(liquid_neuro.save_quantized(ltc_quantized, tmp_path / "q.npz"))
    assert again.compartments == ltc_quantized.compartments
    mapping = mappers.map_network(again, LOIHI2)
    assert mappers.load_mapping(mappers.save_mapping(mapping, tmp_path / "m.npz")).cores == mapping.cores
