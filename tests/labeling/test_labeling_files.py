"""Model files: what is saved comes back to the bit; what is no model is refused, and nothing is executed."""

import hashlib
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from labeling_cases import ecg, rows

from mhealth.errors import InvalidParameterError, ModelFileError, NotFittedError, UnwritableOutputError
from mhealth.labeling import BreathLabeler, EcgLabeler, Manifest, load, pretrained_models


@pytest.fixture(scope="module")
def saved(labeler, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.npz"
    training = [{"dataset": "simulated", "record": "0", "subject": "a", "sha256": "0" * 64}]
    labeler.save(path, training=training, licence="CC0", scores={"macro": 98.0})
    return path


def changed(saved: Path, path: Path, **arrays) -> Path:
    """Write the model with other arrays; None leaves one out."""
    with np.load(saved) as archive:
        content = {name: archive[name] for name in archive.files}
    content |= arrays
    np.savez(path, **{name: array for name, array in content.items() if array is not None})
    return path


def test_a_model_comes_back_to_the_bit(labeler, saved, tmp_path):
    again = load(saved)
    for seed in (7, 8):
        recording, _ = ecg(seed)
        assert rows(again.label(recording)) == rows(labeler.label(recording))
    again.save(tmp_path / "tiny.npz")
    assert (tmp_path / "tiny.npz").read_bytes() == saved.read_bytes()


def test_the_manifest_says_what_the_model_is(labeler, saved):
    manifest = Manifest(**json.loads(saved.with_suffix(".json").read_text()))
    assert manifest.name == "tiny"
    assert manifest.kind == "mhealth ecg labeler"
    assert manifest.sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert manifest.seed == labeler.random_state
    assert manifest.training[0]["dataset"] == "simulated"
    assert manifest.about == {"licence": "CC0", "scores": {"macro": 98.0}}
    assert {"mhealth", "numpy", "python"} <= set(manifest.versions)
    assert manifest.n_parameters > labeler.model_.emission.of_codes.size


def test_a_model_is_small_and_holds_no_pickle(saved):
    assert saved.stat().st_size < 2_000_000
    with zipfile.ZipFile(saved) as archive:
        for name in archive.namelist():
            header = archive.read(name)[:200]
            assert header.startswith(b"\x93NUMPY")
            assert b"'|O'" not in header


def test_a_truncated_file_is_refused(saved, tmp_path):
    content = saved.read_bytes()
    path = tmp_path / "cut.npz"
    for length in (0, 1, 10, 1000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match=r"cut\.npz"):
            load(path)


def test_damage_anywhere_is_noticed_or_changes_nothing(labeler, saved, tmp_path, rng):
    content = saved.read_bytes()
    path = tmp_path / "bad.npz"
    recording, _ = ecg(9, duration=5.0)
    expected = rows(labeler.label(recording))
    n_refused = 0
    for position in rng.integers(len(content), size=150).tolist() + list(range(len(content) - 60, len(content))):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x2D]) + content[position + 1 :])
        try:
            again = load(path)
        except ModelFileError:
            n_refused += 1
        else:
            assert rows(again.label(recording)) == expected
    assert n_refused > 100


class Bomb:
    """Unpickling it makes a folder."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_nothing_in_a_file_is_executed(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.npz").write_bytes(pickle.dumps(Bomb()))
    np.save("b.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    Path("b.npy").rename("b.npz")
    changed(saved, Path("c.npz"), kind=np.array([Bomb()], dtype=object))
    changed(saved, Path("d.npz"), **{"emission.bias": np.array([Bomb()] * 36, dtype=object)})
    for name in ("a.npz", "b.npz", "c.npz", "d.npz"):
        with pytest.raises(ModelFileError, match="pickle"):
            load(name)
    assert not Path("exploded").exists()


def test_other_kinds_of_file_are_refused(tmp_path):
    array, text, archive, arrays = (tmp_path / name for name in ("a.npz", "b.npz", "c.npz", "d.npz"))
    with array.open("wb") as file:
        np.save(file, np.arange(3))
    text.write_text("{}")
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("kind", "mhealth ecg labeler")
    np.savez(arrays, weights=np.zeros(3))
    for path in (array, text, archive, arrays):
        with pytest.raises(ModelFileError, match=path.name):
            load(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"format": np.array(1)},
        {"format": np.array("new")},
        {"format": np.array([2, 2])},
        {"format": None},
        {"kind": np.array("mhealth breath labeler")},
        {"kind": None},
        {"kind": np.array("mhealth respiration labeler")},
        {"emission.last": None},
        {"emission.extra": np.zeros(3)},
        {"emission.bias": np.full(36, np.nan, np.float32)},
        {"emission.bias": np.zeros(35, np.float32)},
        {"emission.of_dense": np.zeros((5, 32), np.float32)},
        {"calibration": None},
        {"calibration": np.zeros((3, 2, 0))},
        {"calibration": np.full((3, 2, 17), np.nan)},
        {"n_nonzero": np.array(0)},
        {"dictionary0.atoms": np.zeros((24, 25), np.float32)},
        {"dictionary4.atoms": None},
    ],
    ids=lambda arrays: "-".join(f"{k}:{getattr(v, 'shape', 'absent')}" for k, v in arrays.items()),
)
def test_a_file_whose_parts_do_not_fit_is_refused(saved, tmp_path, arrays):
    with pytest.raises(ModelFileError, match=r"odd\.npz"):
        load(changed(saved, tmp_path / "odd.npz", **arrays))


def test_a_missing_file_and_an_unknown_name_are_told_apart(tmp_path):
    with pytest.raises(ModelFileError, match="cannot be read"):
        load(tmp_path / "absent.npz")
    with pytest.raises(ModelFileError, match="neither a shipped model"):
        load("nosuchmodel")
    with pytest.raises(ModelFileError, match="cannot be read"):
        load(tmp_path)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(labeler, saved, tmp_path):
    path = tmp_path / "model.npz"
    path.mkdir()
    with pytest.raises(UnwritableOutputError, match="model"):
        labeler.save(path)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["model.npz"]
    path.rmdir()
    path.write_bytes(saved.read_bytes())
    with pytest.raises(InvalidParameterError, match="about cannot be written"):
        labeler.save(path, author=object())
    assert path.read_bytes() == saved.read_bytes()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["model.npz"]
    with pytest.raises(InvalidParameterError, match=r"\.npz"):
        labeler.save(tmp_path / "model.pkl")


def test_an_unwritable_folder_is_an_error_that_names_the_file(labeler, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(UnwritableOutputError, match=r"model\.npz cannot be written: Permission denied"):
        labeler.save(tmp_path / "model.npz")


def test_only_what_was_fitted_can_be_saved(tmp_path):
    with pytest.raises(NotFittedError):
        EcgLabeler().save(tmp_path / "model.npz")


def test_a_shipped_model_is_found_whatever_lies_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for manifest in pretrained_models():
        Path(manifest.name).mkdir()
        assert isinstance(load(manifest.name), BreathLabeler if "respiration" in manifest.kind else EcgLabeler)


def test_shipped_models_are_what_their_manifests_say():
    assert {"ecg", "respiration"} <= {manifest.name for manifest in pretrained_models()}
    import mhealth

    for manifest in pretrained_models():
        path = Path(mhealth.__file__).parent / "models" / f"{manifest.name}.npz"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == manifest.sha256
        assert path.stat().st_size < 2_000_000
        assert manifest.training
