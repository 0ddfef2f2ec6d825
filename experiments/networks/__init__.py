"""Sparse codes and neural networks under the same CRF: accuracy, noise, labels needed, what their settings matter."""
