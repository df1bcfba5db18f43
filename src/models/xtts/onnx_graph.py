"""One step of XTTS's GPT-2 as an ONNX graph in 8 bits, made from the stock weights.

Weights have a scale for each block of 32 inputs, and ONNX Runtime gives activations the same: so both can be bytes
(`MatMulNBits`, its operator for this). Its `GroupQueryAttention` appends to caches that rows of different lengths keep.

    x [B, T, D], ends [B] (the last position of each row), total (the greatest of them, plus one), past_* →
    latents [B, T, D], logits [B, T, V], present_*
"""

from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

BLOCK = 32
_STEPS = 127
"""On a side of zero."""
_ZERO_BYTE = 128
_INT8_ACTIVATIONS = 4
"""The operator's `accuracy_level` for activations of 8 bits."""
_EXTENSIONS = "com.microsoft"
_OPSETS = {"": 20, _EXTENSIONS: 1}
_IR_VERSION = 10


def write_step_graph(gpt: Any, path: Path) -> None:
    """Write the graph of a stock `GPT` to `path`, and its weights to another file beside it."""
    graph = _Graph()
    x = "x"
    caches = []
    heads, width = gpt.heads, gpt.model_dim
    for layer, block in enumerate(gpt.gpt.h):
        caches += [f"{layer}.key", f"{layer}.value"]
        x = graph.block(block, x, caches[-2:], heads)
    graph.node("Identity", [graph.norm(gpt.final_norm, graph.norm(gpt.gpt.ln_f, x))], ["latents"])
    graph.linear(gpt.mel_head.weight, gpt.mel_head.bias, "latents", "logits")
    cache_shape = ["B", heads, "capacity", width // heads]
    graph.save(
        path,
        inputs={
            "x": ["B", "T", width],
            "ends": ["B"],
            "total": [1],
            **{f"past_{name}": cache_shape for name in caches},
        },
        outputs={
            "latents": ["B", "T", width],
            "logits": ["B", "T", gpt.num_audio_tokens],
            **{f"present_{name}": cache_shape for name in caches},
        },
    )


def quantised(weight: Tensor) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Bytes [out, in / 32, 32] and scales [out, in / 32] of a weight [out, in]: (byte - 128) * scale is the weight."""
    blocks = weight.detach().float().reshape(len(weight), -1, BLOCK)
    scales = (blocks.abs().amax(dim=-1) / _STEPS).clamp(min=1e-12)
    levels = torch.round(blocks / scales[..., None]) + _ZERO_BYTE
    return levels.to(torch.uint8).numpy(), scales.numpy()


class _Graph:
    """Nodes and constants, each named as it comes."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def node(
        self, operator: str, inputs: list[str], outputs: list[str] | None = None, *, domain: str = "", **options: Any
    ) -> str:
        """Returns the name of the first output."""
        outputs = outputs or [f"{operator}.{len(self._nodes)}"]
        self._nodes.append(helper.make_node(operator, inputs, outputs, domain=domain, **options))
        return outputs[0]

    def constant(self, array: NDArray[Any]) -> str:
        name = f"constant.{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def norm(self, norm: Any, x: str) -> str:
        weights = [self.constant(each.detach().numpy()) for each in (norm.weight, norm.bias)]
        return self.node("LayerNormalization", [x, *weights], axis=-1, epsilon=norm.eps)

    def linear(self, weight: Tensor, bias: Tensor, x: str, name: str | None = None) -> str:
        """Of weight [out, in], which is read now and kept as bytes."""
        levels, scales = quantised(weight)
        return self.node(
            "MatMulNBits",
            [x, self.constant(levels), self.constant(scales), "", "", self.constant(bias.detach().numpy())],
            [name] if name else None,
            domain=_EXTENSIONS,
            K=weight.shape[1],
            N=weight.shape[0],
            bits=8,
            block_size=BLOCK,
            accuracy_level=_INT8_ACTIVATIONS,
        )

    def conv1d(self, layer: Any, x: str) -> str:
        """GPT-2's, which keeps its weight as [in, out]."""
        return self.linear(layer.weight.t(), layer.bias, x)

    def block(self, block: Any, x: str, cache: list[str], heads: int) -> str:
        mixed = self.conv1d(block.attn.c_attn, self.norm(block.ln_1, x))
        attended = self.node(
            "GroupQueryAttention",
            [mixed, "", "", *(f"past_{name}" for name in cache), "ends", "total"],
            [f"attended.{len(self._nodes)}", *(f"present_{name}" for name in cache)],
            domain=_EXTENSIONS,
            num_heads=heads,
            kv_num_heads=heads,
        )
        x = self.node("Add", [x, self.conv1d(block.attn.c_proj, attended)])
        inner = self.node("Gelu", [self.conv1d(block.mlp.c_fc, self.norm(block.ln_2, x))], approximate="tanh")
        return self.node("Add", [x, self.conv1d(block.mlp.c_proj, inner)])

    def save(self, path: Path, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]]) -> None:
        kinds = {"ends": TensorProto.INT32, "total": TensorProto.INT32}
        taken, given = (
            [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape) for name, shape in each]
            for each in (inputs.items(), outputs.items())
        )
        graph = helper.make_graph(self._nodes, "step", taken, given, self._constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
        onnx.save(
            helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION),
            path,
            save_as_external_data=True,
            location=f"{uuid4().hex}.data",  # onnx refuses a name that some file of the working directory has
        )
