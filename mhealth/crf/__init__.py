"""Conditional random fields over nodes in time: grammars, exact inference, training. Knows no signals."""

from mhealth.crf._estimators import IndependentCRF, LinearChainCRF, SpanCRF
from mhealth.crf._grammar import BREATH_GRAMMAR, ECG_GRAMMAR, Grammar
from mhealth.crf._sequences import Potentials, SpanWeights
from mhealth.crf._span import SpanExpectations, SpanPaths, span_expectations, span_viterbi
from mhealth.crf._stream import CommittedSpans, SpanDecoder, SpanDecodeStream
from mhealth.crf._structures import (
    ChainStructure,
    IndependentStructure,
    LikelihoodGradient,
    SpanStructure,
    Structure,
    label_runs,
)

__all__ = [
    "BREATH_GRAMMAR",
    "ECG_GRAMMAR",
    "ChainStructure",
    "CommittedSpans",
    "Grammar",
    "IndependentCRF",
    "IndependentStructure",
    "LikelihoodGradient",
    "LinearChainCRF",
    "Potentials",
    "SpanCRF",
    "SpanDecodeStream",
    "SpanDecoder",
    "SpanExpectations",
    "SpanPaths",
    "SpanStructure",
    "SpanWeights",
    "Structure",
    "label_runs",
    "span_expectations",
    "span_viterbi",
]
