"""The stages joined: labelers of whole recordings and of streams."""

from mhealth.labeling._channels import is_ecg_channel
from mhealth.labeling._ecg import EcgLabeler, EcgStream
from mhealth.labeling._files import Manifest, load, pretrained_models
from mhealth.labeling._training import TrainingSettings

__all__ = [
    "EcgLabeler",
    "EcgStream",
    "Manifest",
    "TrainingSettings",
    "is_ecg_channel",
    "load",
    "pretrained_models",
]
