"""Settings as dataclasses, from which flags, recipes and the rules of resumed runs are made. Imports no TensorFlow."""
