"""Settings as dataclasses: flags, help, defaults and the rules of resuming come from them. Imports no TensorFlow."""
