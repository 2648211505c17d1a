"""Translation of image files with a trained model: the command `translate`."""

from tf_cyclegan.translating.command import run_translate

__all__ = ["run_translate"]
