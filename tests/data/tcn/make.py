"""Make the networks of this folder anew, and what LiteRT says with them: python tests/data/tcn/make.py (extra cnn)."""

from pathlib import Path

import numpy as np

from mhealth.core import Annotation, Recording
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._examples import lead_cases
from mhealth.labeling._network import stretches
from mhealth.nn import NetworkExample, NetworkInput, NetworkTraining, tcn, to_network, train_network
from mhealth.nn._interpreter import Interpreter
from mhealth.simulate import add_noise, synthetic_ecg

HERE = Path(__file__).parent
LOOKAHEAD = 76
BLOCK = 1280


def simulated(seed: int) -> tuple[Recording, Annotation]:
    """Return a lead with some noise, and its waves."""
    recording, truth = synthetic_ecg(fs=250, duration=20, leads=("II",), heart_rate=50 + 15 * (seed % 6), seed=seed)
    return add_noise(recording, "pink", snr_db=24, seed=seed), truth


def main() -> None:
    """Train on simulated leads, convert to float32 and int8, run both on LiteRT's reference kernels."""
    examples = []
    for seed in range(12):
        for case in lead_cases(*simulated(seed)):
            for stretch in stretches(case, ECG):
                inputs = NetworkInput().prepare(stretch.lead, fs=250.0)
                examples.append([NetworkExample(inputs, stretch.classes, stretch.known)])
    model = tcn(2560, seed=0)
    train_network(model, examples, [], NetworkTraining(n_passes=60, batch_size=4), lookahead=LOOKAHEAD)
    representative = np.stack([example.inputs[:BLOCK] for (example,), _ in zip(examples, range(8), strict=False)])
    lead = simulated(99)[0].signals[:1200, 0]
    padded = np.zeros((BLOCK, NetworkInput.N_INPUTS), np.float32)
    padded[: len(lead)] = NetworkInput().prepare(lead, fs=250.0)
    said = {"lead": lead}
    for name, blocks in (("float", None), ("int8", representative)):
        network = to_network(model, block=BLOCK, lookahead=LOOKAHEAD, representative=blocks)
        (HERE / f"{name}.npz").write_bytes(network.to_bytes())
        late = LOOKAHEAD // network.layout.stride
        said[name] = Interpreter(network.graph, kernels="reference").run(padded)[late : late + len(lead) // 4]
    np.savez_compressed(HERE / "litert.npz", allow_pickle=False, **said)


if __name__ == "__main__":
    main()
