"""Losses and training; only where TensorFlow is installed (the extra `cnn`)."""

import numpy as np
import pytest
from network_cases import examples

from mhealth.errors import AnnotationError, InvalidParameterError, ModelFileError
from mhealth.nn import Loss, NetworkTraining, tcn, train_network, unet

tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install 'mhealth[cnn]'")

# Keras hands its variables to NumPy 2 in a way that is going to change.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

QUICK = NetworkTraining(n_passes=4, batch_size=2, learning_rate=1e-2, seed=5)


def network(dropout: float = 0.0):
    return unet(768, widths=(4, 8), dilations=(2,), dropout=dropout, seed=1)


class Interrupted(Exception):
    """What ends a training in the middle."""


def naive_loss(logits, classes, known, weights, focus) -> float:
    """Compute the loss output by output."""
    total, count = 0.0, 0.0
    for row, true, counts in zip(logits.reshape(-1, 4), classes.ravel(), known.ravel(), strict=True):
        p = np.exp(row - row.max())
        p = p[true] / p.sum()
        total += counts * weights[true] * (1 - p) ** focus * -np.log(p)
        count += counts
    return total / count


@pytest.mark.parametrize("weights", [None, (0.5, 3.0, 1.0, 2.0)])
@pytest.mark.parametrize("focus", [0.0, 2.0])
def test_losses_are_what_their_formula_says(rng, weights, focus):
    logits = rng.normal(0, 2, (3, 7, 4)).astype(np.float32)
    classes = rng.integers(0, 4, (3, 7)).astype(np.int32)
    known = (rng.random((3, 7)) < 0.6).astype(np.float32)
    found = float(Loss(weights=weights, focus=focus)(logits, classes, known))
    assert found == pytest.approx(naive_loss(logits, classes, known, weights or (1, 1, 1, 1), focus), rel=1e-5)


def test_outputs_that_are_not_known_have_no_gradient(rng):
    logits = tensorflow.Variable(rng.normal(0, 2, (1, 6, 4)).astype(np.float32))
    known = np.array([[1, 0, 1, 0, 0, 1]], np.float32)
    with tensorflow.GradientTape() as tape:
        loss = Loss(focus=2.0)(logits, np.ones((1, 6), np.int32), known)
    gradient = np.abs(tape.gradient(loss, logits).numpy()[0]).sum(axis=1)
    assert (gradient[known[0] == 0] == 0).all()
    assert (gradient[known[0] == 1] > 0).all()


def test_the_loss_of_nothing_known_is_zero():
    assert float(Loss()(np.ones((1, 3, 4), np.float32), np.zeros((1, 3), np.int32), np.zeros((1, 3), np.float32))) == 0


def test_negative_weights_are_refused():
    with pytest.raises(InvalidParameterError, match="weights"):
        Loss(weights=(1.0, -1.0, 1.0, 1.0))


@pytest.mark.parametrize("build", [network, lambda: tcn(768, width=8, dilations=(1, 2, 4), seed=1)])
def test_a_network_learns_and_keeps_its_best_weights(build):
    learner = build()
    lookahead = 40 if learner.name == "tcn" else 0
    training = NetworkTraining(n_passes=30, batch_size=4, learning_rate=2e-2)
    leads = examples(10)
    losses = train_network(learner, [[lead] for lead in leads[:8]], leads[8:], training, lookahead=lookahead)
    assert len(losses) == 30
    assert min(losses) < 0.5 * losses[0]


def test_an_interrupted_training_ends_as_if_it_had_not_been(tmp_path):
    leads = examples(6)
    copies, checkpoint = [[lead, lead._replace(inputs=-lead.inputs)] for lead in leads[:4]], tmp_path / "state"
    straight, resumed = network(dropout=0.2), network(dropout=0.2)
    expected = train_network(straight, copies, leads[4:], QUICK)

    def interrupt(done: int, steps: int) -> None:
        if done == 5:  # of 8: in the middle of the third pass
            raise Interrupted

    with pytest.raises(Interrupted):
        train_network(network(dropout=0.2), copies, leads[4:], QUICK, checkpoint=checkpoint, progress=interrupt)
    assert checkpoint.exists()
    assert train_network(resumed, copies, leads[4:], QUICK, checkpoint=checkpoint) == expected
    assert not checkpoint.exists()
    for ours, theirs in zip(straight.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_seed_decides():
    leads = examples(4)

    def trained(seed: int) -> np.ndarray:
        learner = network()
        train_network(learner, [[lead] for lead in leads], [], NetworkTraining(n_passes=1, batch_size=2, seed=seed))
        return learner.get_weights()[0]

    np.testing.assert_array_equal(trained(1), trained(1))
    assert not np.array_equal(trained(1), trained(2))


def test_training_ends_when_validation_gets_no_better():
    leads = examples(4)
    wrong = [lead._replace(classes=2 - lead.classes) for lead in leads[2:]]
    training = NetworkTraining(n_passes=30, batch_size=1, learning_rate=1e-2, patience=2)
    losses = train_network(network(), [[lead] for lead in leads[:2]], wrong, training)
    assert len(losses) == int(np.argmin(losses)) + 3 < 30


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(ModelFileError, match="state: is no checkpoint"):
        train_network(network(), [[lead] for lead in examples(2)], [], QUICK, checkpoint=tmp_path / "state")


def test_the_checkpoint_of_another_training_is_refused(tmp_path):
    leads, checkpoint = [[lead] for lead in examples(2)], tmp_path / "state"

    def interrupt(done: int, steps: int) -> None:
        if done == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_network(network(), leads, [], QUICK, checkpoint=checkpoint, progress=interrupt)
    with pytest.raises(ModelFileError, match="another training"):
        train_network(network(), leads, [], NetworkTraining(n_passes=5), checkpoint=checkpoint)


def test_tensorboard_gets_losses_and_the_graph(tmp_path):
    train_network(network(), [[lead] for lead in examples(2)], examples(1), QUICK, log_dir=tmp_path / "log")
    content = b"".join(path.read_bytes() for path in (tmp_path / "log").iterdir())
    assert b"loss/validation" in content
    assert b"decode0" in content


def test_nothing_to_learn_from_is_said():
    lead = examples(1)[0]
    with pytest.raises(AnnotationError, match="No annotated stretch"):
        train_network(network(), [[lead._replace(known=np.zeros(640, bool))]], [], QUICK)


@pytest.mark.parametrize("change", [{"n_passes": 0}, {"batch_size": 0}, {"patience": 0}, {"learning_rate": 0.0}])
def test_settings_that_cannot_be_are_named(change):
    with pytest.raises(InvalidParameterError, match=next(iter(change))):
        NetworkTraining(**change)
