"""Exported C99 on this machine against the chip simulator: every state word and every output, always ==."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess

import c99_host
import numpy as np
import pytest
import toy_chips
from networks import GOLDEN, golden, l4, ncp19
from test_integers import SETTLED, random_cfc, random_ltc, walk

import hardware_profiles
import liquid_neuro.cells
from event_sim import fixed
from hardware_profiles.fixed_point import PRIMITIVES, QFormat, bit_length, round_shift
from liquid_neuro import Wiring, ltc
from liquid_neuro.cells import PROGRAMS, ltc_integer
from liquid_neuro.quantized_network import Population
from mappers import quantize
from mappers.exporters import ExportError, c99, c99_plan, c99_source, c99_step, export, targets
from mappers.exporters.c99_plan import make_plan
from mappers.exporters.c99_print import Printer
from mappers.exporters.c99_values import Tables, storage
from mappers.proofs.intervals import Interval

M4 = hardware_profiles.load("cortex_m4")
LOIHI = hardware_profiles.load("loihi2")
EXPORTABLE = sorted(GOLDEN)


def assert_equals_simulator(quantized, x, folder, *flags, spans=None, **options):
    """Compiles and compares; returns how many words were compared. spans: timespans (windows, time) for networks that take them."""
    program = c99_host.built(c99_host.exported(quantized, folder, **options), *(flags or ("-O2",)))
    words = quantized.input_format.quantize(x)
    words = words[None] if words.ndim == 2 else words
    real = quantized.input_format.to_real(words)
    if quantized.elapsed:
        words = np.concatenate([words, quantized.elapsed.state.quantize(spans).reshape(*words.shape[:2], 1)], axis=2)
    states, outputs = c99_host.run(program, quantized, words)
    expected = fixed.state_words(quantized, real, spans)
    assert np.array_equal(states, expected)
    assert np.array_equal(quantized.output(expected), quantized.output(states))
    last = quantized.population(quantized.output_population)
    before = quantized.populations[: quantized.populations.index(last)]
    start = sum(p.size for p in before if p.program and PROGRAMS[p.program].unit)
    assert np.array_equal(outputs, expected[..., start : start + last.size][..., quantized.output_compartments])
    return states.size + outputs.size


def within(quantized, x):
    """x inside the range for which sums are proved."""
    bound = getattr(quantized.formats, "input_bound", 0.0)
    return np.clip(x, -bound, bound) if bound else x


def golden_case(name, samples, profile=M4, **options):
    network, arrays = golden(name)
    x = arrays["x"].reshape(-1, network.inputs).astype(float)
    quantized = quantize(network, profile, calibration=x, **options)
    return quantized, within(quantized, np.concatenate([x, walk(network, samples, 0)]))


# --- equality -------------------------------------------------------------------------------------------------------------------


def test_golden_networks_equal_the_simulator(tmp_path):
    compared = 0
    for name in EXPORTABLE:
        quantized, x = golden_case(name, 400)
        compared += assert_equals_simulator(quantized, x, tmp_path / name)
    assert compared >= 75_000


@pytest.mark.parametrize("threshold", [1, 4, 16])
def test_random_ltc_equal_the_simulator(tmp_path, threshold):
    for seed in range(3):
        network = random_ltc(seed)
        x = walk(network, 700, seed)
        quantized = quantize(network, M4 if seed % 2 else LOIHI, calibration=x, thresholds=SETTLED[threshold])
        assert assert_equals_simulator(quantized, x, tmp_path / str(seed)) > 2000


@pytest.mark.parametrize("threshold", [1, 16])
def test_random_cfc_equal_the_simulator(tmp_path, threshold):
    for mode, backbone in (("default", ()), ("default", (7, 7)), ("no_gate", (6,)), ("pure", ()), ("pure", (6,))):
        network = random_cfc(threshold, mode, backbone)
        x = walk(network, 400, 1)
        quantized = quantize(network, M4, calibration=x, thresholds={"input": threshold, "neuron": threshold, "backbone": threshold})
        folder = tmp_path / f"{mode}{len(backbone)}"
        assert assert_equals_simulator(quantized, within(quantized, x), folder, tables="small" if threshold > 1 else "fast") >= 4000


def test_wired_cfc_with_thresholds_equal_the_simulator(tmp_path):
    quantized, x = golden_case("cfc_wired_ncp19", 300, thresholds={"neuron": 16, "input": 4})
    assert_equals_simulator(quantized, x, tmp_path / "c")


def test_formats_of_every_width_equal_the_simulator(tmp_path):
    network = random_ltc(4)
    x = walk(network, 200, 2)
    for bits in ({"weights": 4, "state": 12, "gates": 4}, {"state": 24}, {"state": 12, "message": 9}):
        quantized = quantize(network, M4, calibration=x, bits=bits)
        assert_equals_simulator(quantized, x, tmp_path / str(len(list(tmp_path.iterdir()))), tables="small")


def test_shared_gates_are_computed_once(tmp_path):
    """Equal sigmoids of one neuron are one gate, which then stands in an array; thresholds of such gates too."""
    network = ltc(Wiring.fully_connected(2, 5, 1), seed=0)
    tied = {name: np.full_like(network.parameters[name], 4.0 if "sigma" in name else 0.4)
            for name in ("sigma", "mu", "sensory_sigma", "sensory_mu")}  # fmt: skip
    network = network.with_parameters({**network.parameters, **tied})
    for threshold in (1, 4):
        x = walk(network, 200, 0)
        quantized = quantize(network, M4, calibration=x, thresholds={"gate": threshold})
        assert quantized.population("recurrent_gate").size == 5
        assert make_plan(quantized).loop == ("recurrent_gate", "neuron")
        assert make_plan(quantized).before == ("sensory_gate",)
        assert_equals_simulator(quantized, x, tmp_path / str(threshold))


def test_parameters_of_a_unit_of_its_own_equal_the_simulator(tmp_path):
    """Multipliers and shifts may differ from unit to unit."""
    generator = np.random.default_rng(0)
    quantized, x = golden_case("cfc_wired_ncp19", 200)
    populations = []
    for population in quantized.populations:
        own = dict(population.parameters)
        for head in ("first", "second", "time") if own else ():
            own[f"{head}_shift"] = own[f"{head}_shift"] + generator.integers(-1, 2, population.size)
            own[f"{head}_multiplier"] = own[f"{head}_multiplier"] - generator.integers(0, 20, population.size)
        populations.append(dataclasses.replace(population, parameters=own))
    assert_equals_simulator(dataclasses.replace(quantized, populations=tuple(populations)), x, tmp_path / "c")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_new_neuron_model_is_exported_from_its_program_alone(tmp_path, monkeypatch, seed):
    """Programs that nothing here has seen, on two phases, with a gate that hears two populations and a threshold."""
    monkeypatch.setattr(liquid_neuro.cells, "PROGRAMS", {**PROGRAMS, **toy_chips.PROGRAMS})
    for module in (c99_plan, c99_source, c99_step):
        monkeypatch.setattr(module, "PROGRAMS", liquid_neuro.cells.PROGRAMS)
    monkeypatch.setattr(c99, "_states", toy_states)
    quantized = toy_chips.loop(seed)
    quantized.network.labels = quantized.populations[-1].labels
    c99_folder = export(toy_chips.mapping(quantized), "c99", tmp_path / "c").path
    words = np.random.default_rng(seed).integers(-1000, 1000, (1, 300, quantized.network.inputs))
    states, _ = c99_host.run(c99_host.built(c99_folder), quantized, words)
    assert np.array_equal(states[0], toy_states(quantized, words[0]))


def toy_states(quantized, words, spans=None):
    trace = toy_chips.execute(quantized, words, quantized.ticks_per_sample * len(words) + quantized.read_tick)
    return trace["neuron"][0][quantized.ticks_per_sample :: quantized.ticks_per_sample][: len(words)]


@pytest.mark.slow
def test_a_million_words_equal_the_simulator(tmp_path):
    compared = 0
    for name in EXPORTABLE:
        for number, options in enumerate(({}, {"thresholds": 8}, {"bits": 5})):
            quantized, x = golden_case(name, 2500, **options)
            compared += assert_equals_simulator(quantized, x, tmp_path / f"{name}{number}", tables=("fast", "small")[number % 2])
    for seed in range(10, 40):
        network = random_ltc(seed, unfolds=1 + seed % 6)
        x = walk(network, 3000, seed)
        compared += assert_equals_simulator(quantize(network, M4, calibration=x), x, tmp_path / f"random{seed}")
    assert compared >= 1_000_000


# --- undefined behaviour and warnings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ltc_ncp19", "cfc_wired_ncp19", "cfc_pure"])
def test_sanitizers_find_nothing(tmp_path, name):
    """Inputs at the ends of their range, and far beyond it, where liquid_step clips."""
    quantized, x = golden_case(name, 60)
    folder = c99_host.exported(quantized, tmp_path / "c")
    program = c99_host.built(folder, *c99_host.SANITIZED)
    generator = np.random.default_rng(0)
    extreme = generator.choice([-32768, 32767, -1, 0, 1], (1, 60, quantized.network.inputs))
    c99_host.run(program, quantized, extreme)
    states, _ = c99_host.run(program, quantized, quantized.input_format.quantize(x)[None])
    assert np.array_equal(states, fixed.state_words(quantized, x))


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_sanitizers_find_nothing_from_any_state(tmp_path, seed):
    """What is proved holds for every state word and every input word, not only for those that a run reaches."""
    network = random_ltc(seed)
    quantized = quantize(network, M4, input_range=(-2, 2), thresholds=SETTLED[4])
    folder = c99_host.exported(quantized, tmp_path / "c")
    (folder / "any.c").write_text(
        '#include <string.h>\n#include "liquid.h"\nstatic uint32_t seed = 1;\n'
        "static int32_t draw(void) { seed = seed * 1664525u + 1013904223u; return (int32_t)(seed >> 16) - 32768; }\n"
        "int main(void) { static liquid_state state; liquid_input input[LIQUID_INPUTS]; liquid_output output[LIQUID_OUTPUTS]; int k, i;"
        "for (k = 0; k < 20000; k++) { liquid_reset(&state);"
        "for (i = 0; i < LIQUID_INPUTS; i++) { input[i] = (liquid_input)draw(); }"
        "for (i = 0; i < LIQUID_UNITS; i++) { state.neuron[i] = (int16_t)(k % 3 ? draw() : draw() < 0 ? -32768 : 32767); }"
        "liquid_step(&state, input, output); } return 0; }\n"
    )
    program = c99_host.built(folder, *c99_host.SANITIZED, sources=("liquid.c", "any.c"), program="any")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_make_tests_the_folder_and_leaves_it_exportable(tmp_path):
    quantized = quantize(l4(), M4, input_range=(0, 1))
    folder = c99_host.exported(quantized, tmp_path / "c", samples=5)
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    done = subprocess.run(["make", "test", f"CC={c99_host.compiler()}"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 of 20 state words differ" in done.stdout
    c99_host.exported(quantized, tmp_path / "c", samples=5)


def test_the_folder_tests_itself(tmp_path):
    quantized, _ = golden_case("ltc_ncp19", 0)
    folder = c99_host.exported(quantized, tmp_path / "c", name="pilot", samples=20)
    assert sorted(file.name for file in folder.iterdir()) == [
        "Makefile", "README.md", "export.json", "pilot.c", "pilot.h", "pilot_test.c"
    ]  # fmt: skip
    program = c99_host.built(folder, sources=("pilot.c", "pilot_test.c"), program="own_test")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "0 of 380 state words differ from the simulator's\n")
    source = (folder / "pilot.c").read_text()
    assert source.count("turn < 6") == 1
    (folder / "pilot.c").write_text(source.replace("turn < 6", "turn < 5"))
    program = c99_host.built(folder, sources=("pilot.c", "pilot_test.c"), program="own_test")
    assert subprocess.run([program], capture_output=True, check=False).returncode == 1


def test_no_heap_no_float_no_division_and_no_silent_shift(tmp_path):
    quantized, _ = golden_case("cfc_default", 0)
    folder = c99_host.exported(quantized, tmp_path / "c")
    source = re.sub(r"/\*.*?\*/", "", (folder / "liquid.c").read_text() + (folder / "liquid.h").read_text(), flags=re.S)
    assert re.search(r"\b(malloc|calloc|free|float|double|long)\b|[/%]", source) is None
    assert "@@" not in source
    assert "liquid_shifts_keep_the_sign[((int32_t)-5 >> 1) == -3" in source


def test_sizes_in_the_header_are_those_of_the_compiler(tmp_path):
    for name, thresholds in (("ltc_ncp19", None), ("ltc_ncp19", SETTLED[4]), ("cfc_wired_ncp19", 4)):
        quantized, _ = golden_case(name, 0, thresholds=thresholds)
        folder = c99_host.exported(quantized, tmp_path / "c", overwrite=True)
        header, source = (folder / "liquid.h").read_text(), (folder / "liquid.c").read_text()
        ram, flash = (int(re.search(rf"{word} +(\d+) bytes", header)[1]) for word in ("Static RAM", "Flash"))
        tables = re.findall(r"^static const \w+ (\w+)\[\d+\] =", source, flags=re.M)
        sizes = " + ".join(f"(long)sizeof {table}" for table in tables)
        (folder / "sizes.c").write_text(
            '#include <stdio.h>\n#include "liquid.c"\n'
            f'int main(void) {{ printf("%ld %ld", (long)sizeof(liquid_state), {sizes}); return 0; }}\n'
        )
        program = c99_host.built(folder, sources=("sizes.c",), program="sizes")
        assert subprocess.run([program], capture_output=True, text=True, check=False).stdout == f"{ram} {flash}"
    assert ram == 2 * 19 * 2  # states, and messages that a threshold holds back


def test_same_input_same_bytes(tmp_path):
    quantized, _ = golden_case("cfc_wired_ncp19", 0)
    first, second = (c99_host.exported(quantized, tmp_path / name) for name in ("a", "b"))
    assert all((second / file.name).read_bytes() == file.read_bytes() for file in first.iterdir())


# --- what is refused ------------------------------------------------------------------------------------------------------------


def test_it_is_a_target_and_akida_networks_are_refused(tmp_path):
    assert "c99" in targets()
    network = random_cfc(0)
    quantized = quantize(network, hardware_profiles.load("akida1000"), calibration=walk(network, 20, 0))
    with pytest.raises(ExportError, match='kind must be one of loihi, microcontroller for C99, but is "akida"'):
        c99_host.exported(quantized, tmp_path / "c")


def test_bad_options_are_refused(tmp_path):
    quantized = quantize(l4(), M4, input_range=(0, 1))
    for options, words in (
        ({"name": "My-Net"}, "name must be lower-case"),
        ({"tables": "tiny"}, "tables must be one of fast, small"),
        ({"inputs": [[1.0]]}, "inputs must have the shape"),
    ):
        with pytest.raises(ExportError, match=words):
            c99_host.exported(quantized, tmp_path / "c", **options)
    assert list(tmp_path.iterdir()) == []


def test_sums_that_are_not_proved_are_refused(tmp_path):
    quantized = quantize(ncp19(), M4, input_range=(0, 1))
    with pytest.raises(ExportError, match=r"running sum conductance of neuron \w+ must lie in -32768 \.\. 32767"):
        c99_host.exported(dataclasses.replace(quantized, accumulator_bits=16), tmp_path / "c")


# --- the printer ----------------------------------------------------------------------------------------------------------------


def test_products_that_are_not_proved_are_refused():
    printer = Printer("here", Tables())
    wide = printer.argument("value", Interval(np.array([-(1 << 20)]), np.array([1 << 20])))
    with pytest.raises(ExportError, match=r"here must be proved to fit 32-bit words, but `value \* value` may reach"):
        printer.call(squared, wide)


def squared(value):
    return value * value


def branching(value):
    if value:
        return 1
    return 0


def test_what_is_not_straight_line_code_is_refused():
    printer = Printer("here", Tables())
    with pytest.raises(ExportError, match="branching has the statement `if value"):
        printer.call(branching, printer.argument("value", Interval(np.array([0]), np.array([1]))))


def test_every_primitive_prints():
    words = Printer("here", Tables()).words
    assert all(hasattr(words, primitive.__name__) for primitive in PRIMITIVES)


def test_the_neuron_is_proved_for_any_word_and_any_sum():
    """Without the cases by bit length, products of normalised numbers could not be bounded."""
    printer = Printer("neuron", Tables())
    ends = {"state": 1 << 15, "conductance": 1 << 22, "driven": 1 << 22}
    arguments = [printer.argument(name, Interval(np.array([0 if name == "conductance" else -end]), np.array([end - 1])))
                 for name, end in ends.items()]  # fmt: skip
    for name, value in {"capacitance": 5, "leak": 3, "driven_leak": -7, "ratio": 130, "ratio_shift": 7, "fraction": 14, "guard": 0}.items():
        arguments.append(printer.known(name, [value]))
    arguments.append(printer.words.tables.look_up("reciprocal", ltc_integer.reciprocal_table()))
    lines, columns = printer.finished(printer.call(ltc_integer.neuron, *arguments))
    assert len(lines) > 8
    assert columns == {}


def test_primitives_in_c_equal_those_in_python(tmp_path):
    """The portable forms, also those that this compiler would not take."""
    quantized, _ = golden_case("ltc_ncp19", 0)
    folder = c99_host.exported(quantized, tmp_path / "c")
    source = (c99_host.Path(make_plan.__code__.co_filename).parent / "c99_template" / "primitives.c.txt").read_text()
    generator = np.random.default_rng(0)
    values = np.concatenate([generator.integers(-(2**30), 2**30, 300), [0, 1, -1, 2**31 - 1, -(2**31), 2**30, -(2**30)]])
    amounts = generator.integers(1, 32, len(values))
    rows = ",".join(f"{{{v} {'- 1' if v == -(2**31) - 0 else ''}, {a}}}".replace("-2147483648 - 1", "-2147483647 - 1")
                    for v, a in zip(values.tolist(), amounts.tolist()))  # fmt: skip
    (folder / "primitives.c").write_text(
        "#include <limits.h>\n#include <stdint.h>\n#include <stdio.h>\n#undef __GNUC__\n" + source +
        f"static const int32_t rows[][2] = {{{rows}}};\nint main(void) {{ unsigned k; for (k = 0; k < {len(values)}; k++) {{"
        "const int32_t v = rows[k][0], a = rows[k][1], p = v < 0 ? -(v + 1) : v;"
        'printf("%ld %ld %ld %ld %ld %ld\\n", (long)liquid_round_shift_high(v, a), (long)liquid_round_shift_above_0(v, a),'
        "(long)liquid_bit_length(p), (long)(p ? liquid_bit_length_above_0(p) : 0), (long)liquid_clip_signed(v, 16),"
        "(long)liquid_clip_unsigned(v, 15) + liquid_cap(p, 15)); } return 0; }\n"
    )  # fmt: skip
    command = [c99_host.compiler(), "-std=c99", "-w", "-o", "primitives", "primitives.c"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    text = subprocess.run([folder / "primitives"], capture_output=True, text=True, check=True).stdout
    p = np.where(values < 0, -(values + 1), values)
    rounded, lengths = round_shift(values, amounts), bit_length(p)
    signed, unsigned = np.clip(values, -32768, 32767), np.clip(values, 0, 32767) + np.minimum(p, 32767)
    expected = np.stack([rounded, rounded, lengths, lengths, signed, unsigned], axis=1)
    assert np.array_equal(np.array([line.split() for line in text.splitlines()], dtype=np.int64), expected)


def test_the_smallest_types_are_chosen():
    assert [storage(*ends) for ends in ((0, 255), (-1, 127), (0, 256), (-129, 0), (0, 65536), (-40000, 1))] == [
        "uint8_t", "int8_t", "uint16_t", "int16_t", "uint32_t", "int32_t"
    ]  # fmt: skip
    with pytest.raises(ValueError, match="numbers must fit 32 bits"):
        storage(0, 1 << 32)


def test_an_order_that_samples_do_not_have_is_refused():
    """Two populations that hear one another in the same tick have no order of samples."""
    quantized, _ = golden_case("cfc_wired_ncp19", 0)
    late = [dataclasses.replace(p, first_tick=p.first_tick + 1) if p.name == "layer_1" else p for p in quantized.populations]
    with pytest.raises(ExportError, match="layer_1 must hear layer_0 in the order of samples"):
        make_plan(dataclasses.replace(quantized, populations=tuple(late)))
    assert isinstance(late[0], Population)
    assert QFormat(8, 0).highest == 127
