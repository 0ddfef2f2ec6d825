"""From a trained model to dependency-free C for a wearable, with its proof."""

from mhealth.export._accuracy import (
    Accuracy,
    Agreement,
    StageErrors,
    agreement,
    alone,
    label_in_whole_numbers,
    leads_of,
)
from mhealth.export._budget import Budget, Energy, Load, budget_for, energies, exceeded
from mhealth.export._export import Export, Source, check_exportable, export_model, load_source, originals, quantized
from mhealth.export._pipeline import PipelineTable
from mhealth.export._proof import Stage, prove

__all__ = [
    "Accuracy",
    "Agreement",
    "Budget",
    "Energy",
    "Export",
    "Load",
    "PipelineTable",
    "Source",
    "Stage",
    "StageErrors",
    "agreement",
    "alone",
    "budget_for",
    "check_exportable",
    "energies",
    "exceeded",
    "export_model",
    "label_in_whole_numbers",
    "leads_of",
    "load_source",
    "originals",
    "prove",
    "quantized",
]
