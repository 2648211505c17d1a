"""Translation of images larger than memory, strip by strip, with the statistics of the whole image."""

from tf_cyclegan.inference.strips.walking import Walk, flattened

__all__ = ["Walk", "flattened"]
