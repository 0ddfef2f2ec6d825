"""Losses of a network's logits, over the outputs of which an expert says anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mhealth.errors import InvalidParameterError
from mhealth.nn._backend import require_tensorflow

__all__ = ["Loss"]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Mean over known outputs of weight[class] · (1 − p)^focus · (−log p), p being the probability of the true class.

    With the defaults cross-entropy, with weights class-weighted, with a focus the focal loss [1]_, which turns to what
    is still wrong.

    Parameters
    ----------
    weights : tuple of float, optional
        One a class; all 1 by default.
    focus : float, default=0
        γ of the focal loss; 2 in the paper.

    References
    ----------
    .. [1] Lin, Goyal, Girshick, He, Dollár (2017). Focal loss for dense object detection. ICCV.
       https://arxiv.org/abs/1708.02002
    """

    weights: tuple[float, ...] | None = None
    focus: float = 0.0

    def __post_init__(self) -> None:
        """Check that nothing is rewarded."""
        if not self.focus >= 0 or not all(weight >= 0 for weight in self.weights or ()):
            raise InvalidParameterError(f"focus={self.focus!r} and weights={self.weights!r} must not be negative.")

    def __call__(self, logits: Any, classes: Any, known: Any) -> Any:
        """Return the loss of a batch.

        Parameters
        ----------
        logits : tensor of float32, shape (batch, n_outputs, n_classes)
        classes : tensor of int32, shape (batch, n_outputs)
        known : tensor of float32, shape (batch, n_outputs)
            1 where the class is known, 0 where the output counts for nothing.

        Returns
        -------
        loss : scalar tensor
            0 where nothing is known.
        """
        tensorflow = require_tensorflow()
        loss = tensorflow.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=logits)
        if self.focus:
            loss *= (1.0 - tensorflow.exp(-loss)) ** self.focus
        if self.weights is not None:
            loss *= tensorflow.gather(tensorflow.constant(self.weights, tensorflow.float32), classes)
        return tensorflow.math.divide_no_nan(tensorflow.reduce_sum(loss * known), tensorflow.reduce_sum(known))
