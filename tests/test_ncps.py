"""Import of ncps checkpoints: dialects, files, what a file does not tell, and files that mean harm."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from networks import GOLDEN, GOLDEN_FOLDER, GOLDEN_WIRINGS, c4_state_dict, golden, l4_state_dict
from safetensors.numpy import save_file

from liquid_neuro import Exact, Fused, Wiring, integrate, load_ncps
from liquid_neuro.ncps import import_gap
from liquid_neuro.torch_file import read_tensors


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


def numbers(values) -> bytes:
    return b"(" + b"".join(integer(value) for value in values) + b"t"


def tensor(key: str, elements: int, shape, strides, offset: int = 0, storage: str = "FloatStorage") -> bytes:
    persistent = b"(" + text("storage") + f"ctorch\n{storage}\n".encode() + text(key) + text("cpu") + integer(elements) + b"tQ"
    arguments = persistent + integer(offset) + numbers(shape) + numbers(strides) + b"\x89" + b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def write_torch(path, entries: dict[str, bytes], storages: dict[str, bytes], compression=zipfile.ZIP_STORED, byteorder=b"little"):
    """A file as torch.save writes it, with hand-made tensors."""
    program = b"\x80\x02}(" + b"".join(text(name) + entry for name, entry in entries.items()) + b"u."
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("model/data.pkl", program)
        archive.writestr("model/byteorder", byteorder)
        for key, raw in storages.items():
            archive.writestr(f"model/data/{key}", raw)
    return path


def two_unit_cfc() -> dict[str, np.ndarray]:
    arrays = {f"rnn_cell.{head}.weight": np.full((2, 3), 0.1, np.float32) for head in ("ff1", "ff2", "time_a", "time_b")}
    arrays |= {f"rnn_cell.{head}.bias": np.zeros(2, np.float32) for head in ("ff1", "ff2", "time_a", "time_b")}
    arrays["rnn_cell.ff1.weight"] = np.array([[1, 3, 5], [2, 4, 6]], np.float32)
    return arrays


def torch_parts(arrays):
    entries = {name: tensor(name, value.size, value.shape, np.array(value.strides) // value.itemsize) for name, value in arrays.items()}
    return entries, {name: value.tobytes() for name, value in arrays.items()}


def test_a14_weights_saved_as_transposed_views(tmp_path):
    arrays = two_unit_cfc()
    entries, storages = torch_parts(arrays)
    entries["rnn_cell.ff1.weight"] = tensor("ff1", 6, (2, 3), (1, 2))
    storages["ff1"] = np.arange(1, 7, dtype=np.float32).tobytes()
    save_file(arrays, tmp_path / "contiguous.safetensors")
    for path in (write_torch(tmp_path / "view.pt", entries, storages), tmp_path / "contiguous.safetensors"):
        weight = load_ncps(path, cell="cfc").parameters["ff1.weight"]
        np.testing.assert_array_equal(weight, [[1, 3, 5], [2, 4, 6]])


def test_a14_offsets_byte_orders_and_element_types(tmp_path):
    big = write_torch(
        tmp_path / "big.pt", {"a": tensor("0", 4, (3,), (1,), 1)}, {"0": np.arange(4, dtype=">f4").tobytes()}, byteorder=b"big"
    )
    np.testing.assert_array_equal(read_tensors(big)["a"], [1, 2, 3])
    for storage, code in (("DoubleStorage", "<f8"), ("HalfStorage", "<f2"), ("LongStorage", "<i8"), ("ByteStorage", "u1")):
        raw = np.arange(6).astype(code)
        path = write_torch(tmp_path / "typed.pt", {"a": tensor("0", 6, (2, 2), (3, 1), 1, storage)}, {"0": raw.tobytes()})
        np.testing.assert_array_equal(read_tensors(path)["a"], [[1, 2], [4, 5]])
    brain = (np.array([1.5, -2.0], dtype=np.float32).view(np.uint32) >> 16).astype("<u2")
    path = write_torch(tmp_path / "brain.pt", {"a": tensor("0", 2, (2,), (1,), 0, "BFloat16Storage")}, {"0": brain.tobytes()})
    np.testing.assert_array_equal(read_tensors(path)["a"], [1.5, -2.0])
    empty = write_torch(tmp_path / "empty.pt", {"a": tensor("0", 0, (0, 3), (3, 1))}, {"0": b""})
    assert read_tensors(empty)["a"].shape == (0, 3)


@pytest.mark.parametrize("name", ["ltc_ncp19", "cfc_default"])
def test_torch_files_hold_the_recorded_arrays(name):
    tensors = read_tensors(GOLDEN_FOLDER / f"{name}.pt")
    with np.load(GOLDEN_FOLDER / f"{name}.npz") as arrays:
        assert {f"sd.{key}" for key in tensors} == {key for key in arrays.files if key.startswith("sd.")}
        for key, value in tensors.items():
            assert value.dtype == np.float32
            np.testing.assert_array_equal(value, arrays[f"sd.{key}"])


class Harm:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def hostile_files(folder):
    """(name, path) of files that must be refused."""

    def raw(name, program, compression=zipfile.ZIP_STORED, members=()):
        path = folder / f"{name}.pt"
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("m/data.pkl", program)
            for member, content in members:
                archive.writestr(member, content)
        return name, path

    yield raw("a call of the system", pickle.dumps({"a": Harm()}, protocol=2))
    yield raw("a call by the old protocol", b"cos\nsystem\n(S'touch harmed'\ntR.")
    yield raw("a name from the stack", pickle.dumps({"a": os.system}, protocol=4))
    yield raw("an extension", b"\x80\x02\x82\x01.")
    yield raw("no end", b"\x80\x02}")
    yield raw("an empty stack", b"\x80\x020.")
    yield raw("an unknown mark", b"\x80\x02t.")
    yield raw("a number", b"\x80\x02K\x05.")
    yield raw("an object", pickle.dumps({"a": 3}, protocol=2))
    yield raw("a long program", b"\x80\x02" + b"]" * (5 << 20) + b".")
    nested = b"\x80\x02})" + b"2\x86" * 200 + b"K\x01s."
    yield raw("a key that takes for ever to hash", nested)
    doubled = b"\x80\x02})q\x00" + b"".join(b"h%c" % index + b"h%c" % index + b"\x86q%c" % (index + 1) for index in range(100)) + b"K\x01s."
    yield raw("a key doubled a hundred times", doubled)
    yield raw("compressed", b"\x80\x02}.", zipfile.ZIP_DEFLATED)
    yield raw("two programs", b"\x80\x02}.", members=[("n/data.pkl", b"\x80\x02}.")])
    floats = {"0": np.zeros(4, np.float32).tobytes()}
    for name, entry in {
        "past the end": tensor("0", 4, (2, 3), (3, 1)),
        "huge strides": tensor("0", 4, (2, 2), (1 << 40, 1)),
        "negative strides": tensor("0", 4, (4,), (-1,), 3),
        "a huge shape of stride 0": tensor("0", 4, (1 << 20, 1 << 20), (0, 0)),
        "sizes without strides": tensor("0", 4, (2, 2), (1,)),
        "many axes": tensor("0", 4, (1,) * 70, (1,) * 70),
        "a missing storage": tensor("7", 4, (4,), (1,)),
        "half an element": tensor("1", 4, (1,), (1,)),
    }.items():
        yield name, write_torch(folder / f"{name}.pt", {"a": entry}, {**floats, "1": b"\0\0\0"})
    whole = (GOLDEN_FOLDER / "ltc_ncp19.pt").read_bytes()
    (folder / "cut.pt").write_bytes(whole[:9000])
    yield "cut", folder / "cut.pt"


def test_files_that_mean_harm_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = []
    for name, path in hostile_files(tmp_path):
        with pytest.raises(ValueError, match="must be") as caught:
            load_ncps(path, cell="ltc")
        assert "\n" not in str(caught.value), name
        names.append(name)
    assert len(names) == 23
    assert not (tmp_path / "harmed").exists()


def test_a_whole_pickled_model_is_told_how_to_save(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02cncps.torch.ltc\nLTC\n)\x81.")
    with pytest.raises(
        ValueError, match=r"needs ncps\.torch\.ltc\.LTC, which is no tensor; save the weights alone with torch\.save\(model\.state_dict"
    ):
        load_ncps(path)


@pytest.mark.parametrize("suffix", [".pt", ".npz", ".safetensors"])
def test_damaged_files_are_one_sentence(tmp_path, suffix):
    whole = (GOLDEN_FOLDER / f"ltc_ncp19{suffix}").read_bytes()
    rng = np.random.default_rng(1)
    path = tmp_path / f"damaged{suffix}"
    sentences, cut = [], 0
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole) if rng.random() < 0.5 else 2000, 3):
            damaged[place] ^= int(rng.integers(1, 256))
        shorter = rng.random() < 0.3
        path.write_bytes(bytes(damaged[: int(rng.integers(len(whole))) if shorter else len(whole)]))
        try:
            network = load_ncps(path)
        except ValueError as error:
            sentences.append(str(error))
            cut += shorter
            continue
        assert not shorter
        assert suffix == ".safetensors"  # the others carry checksums; here damage may change a number and nothing else
        assert network.units == 19
        assert all(np.isfinite(value).all() for value in network.parameters.values())
    assert cut > 10
    assert len(sentences) > 30
    assert all(str(path) in sentence and "\n" not in sentence for sentence in sentences)


def test_other_files_are_one_sentence(tmp_path):
    contents = {"text": b"hello, world", "empty": b"", "keras": b"\x89HDF\r\n\x1a\n0000", "old": pickle.dumps({"a": 1}, protocol=2)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"must be \.safetensors, \.npz or \.pt"):
            load_ncps(tmp_path / name)
    with pytest.raises(ValueError, match="there is none"):
        load_ncps(tmp_path / "missing.pt")
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="plain arrays"):
        load_ncps(tmp_path / "objects.npz")


@pytest.mark.parametrize(
    ("ode_unfolds", "softplus", "right"), [(6, True, 0.343716120), (6, False, 0.521983455), (3, True, 0.347307275), (3, False, 0.522246695)]
)
def test_a15_settings_outside_the_file(tmp_path, ode_unfolds, softplus, right):
    save_file(l4_state_dict(), tmp_path / "l4.safetensors")
    network = load_ncps(tmp_path / "l4.safetensors", ode_unfolds=ode_unfolds, softplus=softplus)
    assert abs(integrate(network, [[1, 0], [0, 1], [1, 1], [0.5, 0.2]])[0][-1, 0] - right) < 1e-7
    assert network.solver == Fused(ode_unfolds)
    assert load_ncps(tmp_path / "l4.safetensors").solver == Fused(6)
    assert load_ncps(tmp_path / "l4.safetensors").settings.softplus


ONE_UNIT = {"ff1": ([0.6, -0.4], 0.1), "ff2": ([-0.3, 0.7], -0.2), "time_a": ([0.5, 0.2], 0.1), "time_b": ([-0.4, 0.3], 0.05)}
RUN = ([[0.8]], 0.5, np.array([0.3]))


def one_unit(dialect: str, naming: str = "{head}.{part}") -> dict[str, np.ndarray]:
    arrays = {}
    for head, (weight, bias) in ONE_UNIT.items():
        matrix = np.array([weight]) if dialect == "torch" else np.array([weight]).T.copy()
        arrays[naming.format(head=head, part="weight" if dialect == "torch" else "kernel")] = matrix
        arrays[naming.format(head=head, part="bias")] = np.array([bias])
    return arrays


def test_a30_the_two_dialects_give_their_own_numbers(tmp_path):
    save_file({f"rnn_cell.{name}": value for name, value in one_unit("torch").items()}, tmp_path / "torch.safetensors")
    for mode, right in (("default", 0.085638771), ("no_gate", 0.311424031)):
        network = load_ncps(tmp_path / "torch.safetensors", cell="cfc", mode=mode)
        assert abs(integrate(network, *RUN)[1][0] - right) < 1e-9
    for naming in ("{head}.{part}", "cfc/cf_c_cell/{head}/{part}", "{head}_{part}:0"):
        np.savez(tmp_path / "keras.npz", **one_unit("keras", naming))
        network = load_ncps(tmp_path / "keras.npz", cell="cfc", dialect="keras")
        assert abs(integrate(network, *RUN)[1][0] - 0.192979782) < 1e-9


def test_a30_no_dialect_is_read_as_the_other(tmp_path):
    save_file(one_unit("torch"), tmp_path / "torch.safetensors")
    save_file(one_unit("keras"), tmp_path / "keras.safetensors")
    with pytest.raises(ValueError, match=r'holds Keras kernels .* give dialect="keras"'):
        load_ncps(tmp_path / "keras.safetensors", cell="cfc")
    with pytest.raises(ValueError, match=r'holds a torch state dictionary .* give dialect="torch"'):
        load_ncps(tmp_path / "torch.safetensors", cell="cfc", dialect="keras")
    transposed = {name: np.ascontiguousarray(value.T) for name, value in c4_state_dict().items()}
    save_file(transposed, tmp_path / "transposed.safetensors")
    with pytest.raises(ValueError, match=r"Keras' \(in, out\) layout"):
        load_ncps(tmp_path / "transposed.safetensors", cell="cfc")
    save_file(l4_state_dict(), tmp_path / "l4.safetensors")
    with pytest.raises(ValueError, match='give dialect="torch"'):
        load_ncps(tmp_path / "l4.safetensors", dialect="keras")


def test_a_keras_ltc_has_a_synapse_where_erev_is_not_zero(tmp_path):
    arrays = {name.replace("rnn_cell.", "ltc/ltc_cell/"): value for name, value in l4_state_dict().items() if "mask" not in name}
    np.savez(tmp_path / "keras.npz", **arrays)
    network = load_ncps(tmp_path / "keras.npz", dialect="keras")
    assert not network.settings.softplus
    y = integrate(network, [[1, 0], [0, 1], [1, 1], [0.5, 0.2]])[0][:, 0]
    assert np.abs(y - [0.241254270, 0.737167062, 0.518219058, 0.521983455]).max() < 1e-9
    with pytest.raises(ValueError, match="sparsity_mask"):
        load_ncps(tmp_path / "keras.npz")


def test_a_keras_backbone_is_transposed(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"rnn/backbone0/kernel": rng.normal(size=(5, 7)), "rnn/backbone0/bias": rng.normal(size=7)}
    for head in ("ff1", "ff2"):
        arrays |= {f"rnn/{head}_weight": rng.normal(size=(7, 2)), f"rnn/{head}_bias": rng.normal(size=2)}
    for head in ("time_a", "time_b"):
        arrays |= {f"rnn/{head}/kernel": rng.normal(size=(7, 2)), f"rnn/{head}/bias": rng.normal(size=2)}
    np.savez(tmp_path / "keras.npz", **arrays)
    network = load_ncps(tmp_path / "keras.npz", cell="cfc", dialect="keras")
    assert (network.inputs, network.units) == (3, 2)
    x = rng.normal(size=3)
    z = 1.7159 * np.tanh(0.666 * (np.concatenate([x, np.zeros(2)]) @ arrays["rnn/backbone0/kernel"] + arrays["rnn/backbone0/bias"]))
    f1, f2 = (z @ arrays[f"rnn/{head}_weight"] + arrays[f"rnn/{head}_bias"] for head in ("ff1", "ff2"))
    a, b = (z @ arrays[f"rnn/{head}/kernel"] + arrays[f"rnn/{head}/bias"] for head in ("time_a", "time_b"))
    gate = 1 / (1 + np.exp(a * 0.7 - b))
    assert np.abs(integrate(network, x[None], 0.7)[1] - (f1 * (1 - gate) + gate * f2)).max() < 1e-12


def test_roles_that_a_file_does_not_tell_are_unknown():
    network, _ = golden("ltc_auto32_softplus")
    assert network.labels[:4] == ("motor_0", "motor_1", "motor_2", "unknown_0")
    assert {label.split("_")[0] for label in network.labels[3:]} == {"unknown"}
    assert golden("cfc_wired_ncp19")[0].labels[-7:-1] == tuple(f"command_{index}" for index in range(6))
    assert golden("cfc_default")[0].labels[0] == "unknown_0"


@pytest.mark.parametrize("name", GOLDEN_WIRINGS)
def test_a_wiring_tells_the_roles_and_must_be_the_files(name):
    wiring, path = GOLDEN_WIRINGS[name](), GOLDEN_FOLDER / f"{name}.safetensors"
    network = load_ncps(path, cell=name[:3], wiring=wiring, **GOLDEN[name])
    assert network.wiring == wiring
    plain, recorded = golden(name)
    np.testing.assert_array_equal(integrate(network, recorded["x"])[0], integrate(plain, recorded["x"])[0])
    wrong = Wiring.random(wiring.inputs, wiring.units, wiring.outputs, 0.5, seed=9)
    with pytest.raises(ValueError, match="wiring must have"):
        load_ncps(path, cell=name[:3], wiring=wrong, **GOLDEN[name])


def test_what_a_file_does_not_tell_is_asked_for():
    with pytest.raises(ValueError, match=r"holds no output map, .*; give outputs="):
        load_ncps(GOLDEN_FOLDER / "ltc_rand24_noaffine.safetensors")
    with pytest.raises(ValueError, match="outputs must be one number, but output_w says 1 and outputs= says 2"):
        load_ncps(GOLDEN_FOLDER / "ltc_ncp19.safetensors", outputs=2)
    with pytest.raises(ValueError, match='cell must be "cfc" for this file, but is "ltc"'):
        load_ncps(GOLDEN_FOLDER / "cfc_default.safetensors")
    with pytest.raises(ValueError, match='mode must be "pure" for a file with w_tau and A'):
        load_ncps(GOLDEN_FOLDER / "cfc_pure.safetensors", cell="cfc", mode="no_gate")
    with pytest.raises(ValueError, match="mode must be one of"):
        load_ncps(GOLDEN_FOLDER / "cfc_pure.safetensors", cell="cfc", mode="simple")


def test_a_liquid_part_inside_a_larger_model(tmp_path):
    inner = l4_state_dict()
    alone = {f"module.policy.{name}": value for name, value in inner.items()}
    save_file(alone, tmp_path / "alone.safetensors")
    assert load_ncps(tmp_path / "alone.safetensors").units == 4
    save_file({**alone, "module.head.weight": np.zeros((2, 2))}, tmp_path / "larger.safetensors")
    with pytest.raises(ValueError, match=r'has module\.head\.weight beside it; give prefix="module\.policy\."'):
        load_ncps(tmp_path / "larger.safetensors")
    assert load_ncps(tmp_path / "larger.safetensors", prefix="module.policy.").units == 4
    save_file({**alone, **{f"other.{name}": value for name, value in inner.items()}}, tmp_path / "two.safetensors")
    with pytest.raises(ValueError, match="one liquid part, but has"):
        load_ncps(tmp_path / "two.safetensors")
    assert load_ncps(tmp_path / "two.safetensors", prefix="other.").units == 4
    save_file({name[len("rnn_cell.") :]: value for name, value in inner.items()}, tmp_path / "cell.safetensors")
    assert load_ncps(tmp_path / "cell.safetensors").units == 4


def test_dropout_leaves_gaps_between_backbone_layers(tmp_path):
    rng = np.random.default_rng(2)
    arrays = {}
    for index, columns in zip((0, 2, 5, 8), (6, 9, 9, 9)):  # Linear, activation; from the second layer on also dropout
        arrays |= {
            f"rnn_cell.backbone.{index}.weight": rng.normal(size=(9, columns)),
            f"rnn_cell.backbone.{index}.bias": rng.normal(size=9),
        }
    for head in ("ff1", "ff2", "time_a", "time_b"):
        arrays |= {f"rnn_cell.{head}.weight": rng.normal(size=(4, 9)), f"rnn_cell.{head}.bias": rng.normal(size=4)}
    save_file(arrays, tmp_path / "deep.safetensors")
    network = load_ncps(tmp_path / "deep.safetensors", cell="cfc", activation="tanh")
    assert (network.inputs, network.units) == (2, 4)
    x = rng.normal(size=2)
    z = np.concatenate([x, np.zeros(4)])
    for index in (0, 2, 5, 8):
        z = np.tanh(arrays[f"rnn_cell.backbone.{index}.weight"] @ z + arrays[f"rnn_cell.backbone.{index}.bias"])
    heads = [arrays[f"rnn_cell.{head}.weight"] @ z + arrays[f"rnn_cell.{head}.bias"] for head in ("ff1", "ff2", "time_a", "time_b")]
    gate = 1 / (1 + np.exp(-heads[2] - heads[3]))
    assert np.abs(integrate(network, x[None])[1] - (np.tanh(heads[0]) * (1 - gate) + gate * np.tanh(heads[1]))).max() < 1e-12


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rnn_cell.mu": np.zeros((4, 3))}, r"mu must have shape \(4, 4\), but has \(4, 3\)"),
        ({"rnn_cell.mu": None}, "must hold mu, but does not"),
        ({"rnn_cell.cm": np.array([1, np.nan, 1, 1])}, "parameter cm must be finite"),
        ({"rnn_cell.sparsity_mask": np.full((4, 4), 0.5)}, "sparsity_mask must hold 0 and 1, but holds 0.5"),
        ({"rnn_cell.extra": np.zeros(3)}, 'parameters must not hold "extra"'),
        ({"rnn_cell.cm": np.array([True] * 4)}, "must hold real numbers, but holds bool"),
    ],
)
def test_files_that_do_not_fit_are_one_sentence(tmp_path, change, sentence):
    arrays = {name: value for name, value in {**l4_state_dict(), **change}.items() if value is not None}
    save_file(arrays, tmp_path / "l4.safetensors")
    with pytest.raises(ValueError, match=sentence):
        load_ncps(tmp_path / "l4.safetensors")


def test_the_gap_to_exact_is_measured_on_a_stated_input():
    network, _ = golden("ltc_fc12_unfold3")
    gap = import_gap(network, seed=3)
    assert 0 < gap.rms < gap.max
    assert "fused(3) against exact" in gap.description
    assert "seed 3" in gap.description
    assert gap == import_gap(network.with_solver(network.solver), seed=3)
    assert import_gap(network.with_solver(Fused(300)), seed=3).rms < 0.02 * gap.rms
    assert import_gap(network.with_solver(Exact()), seed=3).description.startswith("fused(6)")
    with pytest.raises(ValueError, match="must be asked of an LTC"):
        import_gap(golden("cfc_pure")[0])


def test_numbers_as_text_streams_are_not_mistaken(tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    (tmp_path / "array.npy").write_bytes(stream.getvalue())
    with pytest.raises(ValueError, match=r"must be \.safetensors, \.npz or \.pt"):
        load_ncps(tmp_path / "array.npy")
