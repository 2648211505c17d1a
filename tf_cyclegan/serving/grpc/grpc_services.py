"""TensorFlow Serving's gRPC services, PredictionService and ModelService: requests to bytes of replies."""

import asyncio
import time

from tensorflow.core.protobuf import error_codes_pb2
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelVersionStatus,
)
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

from tf_cyclegan.serving.errors import Disconnected, ServingError, invalid
from tf_cyclegan.serving.grpc.grpc_calls import parse
from tf_cyclegan.serving.grpc.grpc_tensors import read_tensor, write_tensor
from tf_cyclegan.serving.grpc.grpc_wire import check_fields
from tf_cyclegan.serving.repository import ModelSpec


class GrpcServices:
    """The methods of the services, each a coroutine from a call's context to the bytes of the reply.

    Args:
        service: `Service`, shared with the REST interface.
        calls: `Calls`.
    """

    def __init__(self, service, calls):
        self._service = service
        self._calls = calls

    def methods(self):
        """Returns a dict of each service's name to a dict of its methods' names to coroutine functions."""
        examples, models = _refusal("takes tf.Example: use Predict"), _refusal("would change what is served")
        return {
            "tensorflow.serving.PredictionService": {
                "Predict": self.predict,
                "GetModelMetadata": self.get_model_metadata,
                **dict.fromkeys(("Classify", "Regress", "MultiInference"), examples),
            },
            "tensorflow.serving.ModelService": {
                "GetModelStatus": self.get_model_status,
                "HandleReloadConfigRequest": models,
            },
        }

    # ---- predict ----

    async def predict(self, context):
        started, names = time.monotonic(), []
        try:
            reply = await self._compute(context, started, names)
        except asyncio.CancelledError:
            self._count(names, Disconnected(), started)
            raise
        except BaseException as error:
            self._count(names, error, started)
            raise
        self._count(names, None, started)
        return reply

    def _count(self, names, error, started):
        self._service.count(next(iter(names), ""), error, started, "GRPC")

    async def _compute(self, context, started, names):
        remaining = context.time_remaining()
        clients = started + remaining if remaining is not None else float("inf")
        async with self._calls.read(context) as message:

            def work(deadline):
                check_fields(message, self._service.limits.max_body_bytes)
                request = parse(PredictRequest, message)
                names.append(request.model_spec.name)
                return self._run(request, min(deadline, clients))

            # gRPC cancels this coroutine when the client leaves or its deadline is over.
            return await self._service.admission.run(work, asyncio.Event().wait)

    def _run(self, request, deadline):
        """The request's message to the bytes of the reply, in a thread."""
        name = request.model_spec.signature_name or "serving_default"
        with self._service.repository.use(_spec(request)) as version:
            signature = version.engine.signatures.get(name)
            if signature is None:
                raise ServingError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
            wanted = _wanted(request.output_filter, signature.outputs)
            inputs = self._inputs(request.inputs, signature.inputs)
            outputs = self._service.predictor.predict(version, name, inputs, deadline, wanted)
        response = PredictResponse()
        for output, array in outputs.items():
            response.outputs[output].CopyFrom(write_tensor(array))
        _describe(response.model_spec, version, name)
        return response.SerializeToString()

    def _inputs(self, protos, expected):
        if not set(protos) <= set(expected):
            raise invalid(f"Expected inputs {sorted(expected)} but got: {sorted(protos)}")
        inputs, left = {}, self._service.limits.max_body_bytes
        for name, proto in protos.items():
            inputs[name] = read_tensor(proto, name, left)
            left -= inputs[name].nbytes
        return inputs

    # ---- metadata and status ----

    async def get_model_metadata(self, context):
        return await asyncio.to_thread(self._metadata, await self._calls.read_small(context))

    def _metadata(self, message):
        request = parse(GetModelMetadataRequest, message)
        spec = _spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        signatures, response = SignatureDefMap(), GetModelMetadataResponse()
        with self._service.repository.use(spec) as version:
            for name, signature in version.engine.signature_defs.items():
                signatures.signature_def[name].CopyFrom(signature)
        response.metadata["signature_def"].Pack(signatures)
        _describe(response.model_spec, version)
        return response.SerializeToString()

    async def get_model_status(self, context):
        return await asyncio.to_thread(self._status, await self._calls.read_small(context))

    def _status(self, message):
        response = GetModelStatusResponse()
        for number, state, error in self._service.repository.status(_spec(parse(GetModelStatusRequest, message))):
            status = response.model_version_status.add(version=number, state=ModelVersionStatus.State.Value(state))
            status.status.error_code = error_codes_pb2.Code.Value(error.code if error else "OK")
            status.status.error_message = error.message if error else ""
        return response.SerializeToString()


def _refusal(reason):
    async def refuse(context):
        raise ServingError("UNIMPLEMENTED", f"This server does not have a method that {reason}")

    return refuse


def _spec(request):
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    version = spec.version.value if spec.HasField("version") else None
    return ModelSpec(spec.name, version, spec.version_label if spec.HasField("version_label") else None)


def _describe(spec, version, signature_name=""):
    spec.name, spec.version.value, spec.signature_name = version.name, version.number, signature_name


def _wanted(names, outputs):
    """The names of the outputs that a request asks for; None for all."""
    for name in names:
        if name not in outputs:
            expected = f"Outputs expected to be in the set {{{','.join(sorted(outputs))}}}."
            raise invalid(f"output tensor alias not found in signature: {name} {expected}")
    if len(set(names)) < len(names):
        raise invalid(f"duplicate output tensor alias in: {', '.join(names)}")
    return list(names) or None
