"""Images beyond memory, translated strip by strip with the statistics of the whole image."""

from tf_cyclegan.translating.strips.graph import flattened
from tf_cyclegan.translating.strips.walking import Walk

__all__ = ["Walk", "flattened"]
