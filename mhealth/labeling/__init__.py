"""The stages joined: labelers of whole recordings and of streams."""

from mhealth.labeling._breath import BreathLabeler
from mhealth.labeling._channels import is_ecg_channel, is_respiration_channel
from mhealth.labeling._ecg import EcgLabeler
from mhealth.labeling._files import Manifest, load, pretrained_models
from mhealth.labeling._labeler import LabelStream
from mhealth.labeling._network_emission import NetworkEmission
from mhealth.labeling._teaching import as_annotation
from mhealth.labeling._training import TrainingSettings

__all__ = [
    "BreathLabeler",
    "EcgLabeler",
    "LabelStream",
    "Manifest",
    "NetworkEmission",
    "TrainingSettings",
    "as_annotation",
    "is_ecg_channel",
    "is_respiration_channel",
    "load",
    "pretrained_models",
]
