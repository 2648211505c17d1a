"""Translation of image files with a trained model: the command `translate`."""

from tf_cyclegan.inference.translate import run_translate

__all__ = ["run_translate"]
