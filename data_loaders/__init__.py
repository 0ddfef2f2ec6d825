"""Annotated recordings of publishers, one module a data set."""

from data_loaders._base import Dataset
from data_loaders.bidmc import Bidmc
from data_loaders.folder import Folder
from data_loaders.ludb import Ludb
from data_loaders.mitdb import Mitdb
from data_loaders.nstdb import Nstdb
from data_loaders.qtdb import Qtdb

__all__ = ["Bidmc", "Dataset", "Folder", "Ludb", "Mitdb", "Nstdb", "Qtdb"]
