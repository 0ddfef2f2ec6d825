"""Conditional random fields over nodes in time: grammars, exact inference, training. Knows no signals."""

from mhealth.crf._grammar import ECG_GRAMMAR, Grammar
from mhealth.crf._sequences import Potentials, SpanWeights
from mhealth.crf._span import SpanExpectations, SpanPaths, span_expectations, span_viterbi
from mhealth.crf._stream import CommittedSpans, SpanDecoder, SpanDecodeStream

__all__ = [
    "ECG_GRAMMAR",
    "CommittedSpans",
    "Grammar",
    "Potentials",
    "SpanDecodeStream",
    "SpanDecoder",
    "SpanExpectations",
    "SpanPaths",
    "SpanWeights",
    "span_expectations",
    "span_viterbi",
]
