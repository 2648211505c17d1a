"""What the REST and the gRPC interface do with the inputs of a request, once they have read them."""

import time

from tf_cyclegan.serving.limits import check_inputs


def predict(engine, signature_name, inputs, limits, deadline, outputs=None):
    """Computes a signature within the limits.

    Args:
        engine: `Engine` of the version that the request names.
        signature_name: str, a key of its signatures.
        inputs: dict, name to array; strings are object arrays of bytes.
        limits: `Limits`.
        deadline: float, on the clock of `time.monotonic`.
        outputs: optional collection of names of outputs to compute. Defaults to all.

    Returns:
        dict, name of an output to its array.

    Raises:
        ServingError: if the inputs go beyond a limit or do not fit, the time is over, or the computation fails.
    """
    check_inputs(inputs, limits)
    seconds = max(deadline - time.monotonic(), 0.001)
    return engine.run(signature_name, inputs, timeout_seconds=seconds, outputs=outputs)
