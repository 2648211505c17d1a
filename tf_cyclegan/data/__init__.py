"""Data sets of two domains of images."""

from tf_cyclegan.data.loading import load_dataset, open_dataset
from tf_cyclegan.data.pipelines import TranslationDataset

__all__ = ["TranslationDataset", "load_dataset", "open_dataset"]
