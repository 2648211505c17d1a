"""Makes models of the weight files of other implementations."""

from tf_cyclegan.importing.assembly import import_model
from tf_cyclegan.importing.parts import is_weight_file

__all__ = ["import_model", "is_weight_file"]
