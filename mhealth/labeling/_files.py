"""Models in files: arrays in an ``.npz`` without pickle, what they are in a JSON manifest beside it."""

from __future__ import annotations

import hashlib
import io
import json
import platform
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mhealth.core import write_file
from mhealth.crf import SpanWeights
from mhealth.errors import InvalidParameterError, ModelFileError
from mhealth.labeling._breath_task import RESPIRATION, RESPIRATION_MCU
from mhealth.labeling._ecg_task import ECG, ECG_MCU
from mhealth.labeling._emission import SparseEmission
from mhealth.labeling._model import Model
from mhealth.labeling._network import NetworkContext
from mhealth.labeling._network_emission import NetworkEmission, read_by_network
from mhealth.labeling._task import Task
from mhealth.nn import Network
from mhealth.sparse import Dictionary

__all__ = ["Manifest", "load", "load_model", "pretrained_models", "save_model"]

FORMAT = 2
"""Version of the file format; another one is refused, not guessed at. Anew whenever a task's settings change."""

_KINDS = {
    f"mhealth {task.kind} labeler{f' for {task.budget}' if task.budget else ''}": task
    for task in (ECG, ECG_MCU, RESPIRATION, RESPIRATION_MCU)
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Manifest:
    """What a model file says about itself.

    Attributes
    ----------
    name : str
        Name of the model.
    kind, format : str, int
        What it is, and the version of its file format.
    sha256 : str
        Of the ``.npz`` file.
    n_parameters : int
        Numbers that were learned.
    seed : int
        Of the training.
    training : list of dict
        Dataset, record, subject and SHA-256 of every record it was trained on.
    versions : dict
        Of mhealth, Python and the packages that computed it.
    about : dict
        Scores, licence, provenance.
    """

    name: str
    kind: str
    format: int
    sha256: str
    n_parameters: int
    seed: int
    training: list[dict[str, str]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)


def save_model(model: Model, path: Path, *, seed: int, training: list[dict[str, str]], about: dict[str, Any]) -> None:
    """Write a model and its manifest, each as a whole or not at all."""
    if path.suffix != ".npz":
        raise InvalidParameterError(f"path={str(path)!r} must end in .npz; the manifest goes beside it as .json.")
    arrays, network = _to_arrays(model), _network_of(model)
    buffer = io.BytesIO()
    # One entry a time stamp of 1980 each, as numpy writes them: the same model gives the same bytes.
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    content = buffer.getvalue()
    manifest = Manifest(
        name=path.stem,
        kind=_kind(model.task),
        format=FORMAT,
        sha256=hashlib.sha256(content).hexdigest(),
        n_parameters=int(sum(array.size for array in arrays.values() if array.dtype.kind == "f"))
        + (0 if network is None else network.n_parameters),
        seed=seed,
        training=training,
        versions=_versions(),
        about=about,
    )
    try:
        text = json.dumps(vars(manifest), indent=1, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(
            f"training and about cannot be written as JSON ({error}); expected text, finite numbers, lists and dicts."
        ) from error
    write_file(path, content)
    write_file(path.with_suffix(".json"), text.encode())


def load(name_or_path: str | Path) -> Any:
    """Return a labeler with a shipped model, or with one from a file.

    Parameters
    ----------
    name_or_path : str or path-like
        Name of a shipped model (see `pretrained_models`), or path of an ``.npz`` that a labeler wrote.

    Returns
    -------
    labeler : EcgLabeler or BreathLabeler
        Ready to label, by the kind of the model.

    Raises
    ------
    ModelFileError
        If there is no such model, or the file is damaged, of another version, or no model of ours. Nothing in a file
        is ever executed.
    """
    from mhealth.labeling._breath import BreathLabeler
    from mhealth.labeling._ecg import EcgLabeler

    path = Path(name_or_path)
    shipped = {manifest.name for manifest in pretrained_models()}
    if str(name_or_path) in shipped:  # whatever is called so in the working directory
        path = Path(str(resources.files("mhealth") / "models" / f"{name_or_path}.npz"))
    elif path.suffix != ".npz" and not path.exists():
        raise ModelFileError(
            f"model {str(name_or_path)!r} is neither a shipped model ({', '.join(sorted(shipped))}) nor a file."
        )
    model = load_model(path)
    budget = model.task.budget
    labeler = EcgLabeler(budget=budget) if model.task.kind == ECG.kind else BreathLabeler(budget=budget)
    network = _network_of(model)
    if network is not None:
        labeler.set_params(emission=NetworkEmission(architecture=network.name, network=network))
    if model.leads:
        labeler.set_params(leads="early")
    labeler.model_ = model
    return labeler


def pretrained_models() -> list[Manifest]:
    """Return the manifests of the models that ship with the package."""
    folder = Path(str(resources.files("mhealth") / "models"))
    return [_read_manifest(path) for path in sorted(folder.glob("*.json"))]


def load_model(path: Path) -> Model:
    """Read a model file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}). Give the path of a saved model.") from error
    try:
        archive = np.load(io.BytesIO(content), allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it holds a single array")
        arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # damage makes zipfile, zlib and numpy raise nearly anything
        raise ModelFileError(
            f"{path}: is no model file, or a damaged one ({error}). Expected an .npz written by a labeler's save; "
            "pickles are never loaded. Copy the file again, or train anew."
        ) from error
    task = _KINDS.get(str(arrays.get("kind", "")))
    if task is None:
        raise ModelFileError(
            f"{path}: is an .npz, but none of {', '.join(_KINDS)}. Expected a file written by EcgLabeler.save or "
            "BreathLabeler.save."
        )
    version = arrays.get("format", np.array("none"))
    if not np.array_equal(version, FORMAT):
        raise ModelFileError(
            f"{path}: has format {version}, this mhealth reads format {FORMAT}. Install the mhealth that wrote it "
            "(see its .json), or train anew."
        )
    try:
        return _from_arrays(arrays, task)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, ModelFileError) as error:
        raise ModelFileError(
            f"{path}: is incomplete or inconsistent ({error}). Copy the file again, or train anew."
        ) from error


def _kind(task: Task) -> str:
    """Return what a file says that it holds."""
    return next(text for text, known in _KINDS.items() if (known.kind, known.budget) == (task.kind, task.budget))


def _network_of(model: Model) -> Network | None:
    """Return the network that describes the candidates, if one does."""
    context = model.task.front_end.features.context
    return context.network if isinstance(context, NetworkContext) else None


def _to_arrays(model: Model) -> dict[str, NDArray]:
    """Flatten a model. What the task says is not written: it belongs to the kind and the format."""
    arrays: dict[str, Any] = {
        "kind": _kind(model.task),
        "format": FORMAT,
        "n_nonzero": model.n_nonzero,
        "calibration": model.calibration,
        "joint": model.joint,
    }
    arrays |= {f"emission.{name}": array for name, array in model.emission.to_arrays().items()}
    arrays |= {f"weights.{name}": array for name, array in model.weights._asdict().items()}
    if model.leads:
        arrays["leads"] = np.array(model.leads)
    network = _network_of(model)
    if network is not None:
        arrays |= {f"network.{name}": array for name, array in network.to_arrays().items()}
    for k, dictionary in enumerate(model.dictionaries):
        arrays |= {f"dictionary{k}.{name}": array for name, array in dictionary.to_arrays().items()}
    return {name: np.asarray(array) for name, array in arrays.items()}


def _from_arrays(arrays: dict[str, NDArray], task: Task) -> Model:
    """Rebuild a model from what `_to_arrays` gave."""

    def of(prefix: str) -> dict[str, NDArray]:
        return {name[len(prefix) + 1 :]: array for name, array in arrays.items() if name.startswith(prefix + ".")}

    if network := of("network"):
        task = read_by_network(task, Network.from_arrays(network))
    weights, leads = of("weights"), tuple(arrays.get("leads", np.empty(0, "U1")).tolist())
    model = Model(
        task=task,
        emission=SparseEmission(**of("emission")),
        weights=SpanWeights(**{**weights, "transition": np.nan_to_num(weights["transition"], neginf=0.0)}),
        dictionaries=tuple(
            Dictionary.from_arrays(of(f"dictionary{k}"))
            for k in range(len(task.front_end.features.lengths) * max(1, len(leads)))
        ),
        n_nonzero=int(arrays["n_nonzero"]),
        # Some files have one map for leads alone and together.
        calibration=np.broadcast_to(arrays["calibration"], (2, *arrays["calibration"].shape[-3:])),
        joint=arrays["joint"],
        leads=leads,
    )
    model.check()
    return model


def _read_manifest(path: Path) -> Manifest:
    """Read a manifest."""
    try:
        return Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelFileError(f"{path}: is no manifest of a model ({error}).") from error


def _versions() -> dict[str, str]:
    """Return the versions of what computed a model."""
    from importlib.metadata import version

    packages = ("mhealth", "numpy", "scipy", "scikit-learn", "numba")
    return {"python": platform.python_version(), "machine": platform.machine(), **{p: version(p) for p in packages}}
