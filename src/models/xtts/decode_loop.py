"""The decode loop of XTTS-v2: text in, one latent for each 46 ms of speech out, for many sentences at once.

A sentence lives in a slot. It is *admitted* when one is free: its prefix (voice, text, start code) runs through the
network once, which fills the slot's keys and values and gives the first code. Those of a voice depend on nothing behind
them, so the next sentence of the same speaker takes them over. Then every *step* adds a code to each:

    embed the last code at its own position → network, against the slot's cache → final norm: the latent, kept
    → head → penalty, temperature, top_k, top_p → draw → the next code

Positions are explicit, so sentences of different lengths and ages share a step; none is padded, none sees another. The
vocoder wants exactly the latent that the code was drawn from, so no second pass over the sentence is made, as the stock
package makes it. Everything that a step reads or writes stays on the device, the draw included. The host only asks
which sentences have stopped: on a CPU after each step, on a GPU one step late, while the next one is already running.

Occupied slots are the first ones, always: when a sentence ends, the last one moves into its place. So a step costs what
its sentences cost, and the shape of a step depends only on their number.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from src.models.xtts.sampling import SamplingOptions, next_codes

_PLACEHOLDER = 1
"""The stock package passes the prefix to its sampler as this id, so the repetition penalty counts code 1 as seen."""

_GRAPH_LENGTH_UNIT = 128
"""Lengths are rounded up to this many positions, so that a sentence meets few graphs."""


@dataclass(eq=False, slots=True)
class Sentence:
    """One utterance, from its tokens to its latents.

    text_tokens: int64 [T], without start and stop. conditioning: [1, 32, D]. seed: the same one gives the same codes,
    whoever shares the batch. `cancelled` may be set by any thread and is seen before the next step.
    """

    text_tokens: Tensor
    conditioning: Tensor
    seed: int = 0
    max_codes: int = 602
    cancelled: bool = False
    codes: list[int] = field(default_factory=list)
    finished: bool = False
    latents: Tensor | None = None  # [codes, D], a view of the slot's while the sentence runs, its own at the end


class Network(Protocol):
    """XTTS's GPT-2 with a cache for each slot. Its two forms, `TorchNetwork` and `OnnxNetwork`, say the shapes."""

    width: int
    codes: int
    start_code: int
    stop_code: int
    max_codes: int
    capacity: int

    def new_cache(self, slots: int) -> Any:
        """Made once for a loop; `move(source, target, length)` lets one slot hold what another does."""

    def prefix(self, conditioning: Tensor, text_tokens: Tensor) -> Tensor: ...

    def embed(self, codes: Tensor, counts: Tensor) -> Tensor: ...

    def prefill(self, x: Tensor, cache: Any, slot: int, known: int = 0) -> tuple[Tensor, Tensor]: ...

    def step(self, x: Tensor, cache: Any, positions: Tensor, longest: int, *, alone: bool) -> tuple[Tensor, Tensor]: ...


class Slots:
    """What the device keeps of each sentence, besides its cache. All of it is allocated once; row = slot."""

    def __init__(self, network: Network, count: int, device: torch.device) -> None:
        room = network.max_codes + 2  # a late host lets a full sentence run on for a step or two
        self.prefix = torch.zeros(count, dtype=torch.long, device=device)  # position of the start code
        self.counts = torch.zeros(count, dtype=torch.long, device=device)  # codes drawn
        self.last = torch.zeros(count, dtype=torch.long, device=device)
        self.seen = torch.zeros(count, network.codes, dtype=torch.bool, device=device)
        self.uniform = torch.zeros(count, room, device=device)
        self.latents = torch.zeros(count, room, network.width, device=device)

    def reset(self, slot: int, prefix: int, uniform: Tensor, start_code: int) -> None:
        self.prefix[slot], self.counts[slot] = prefix, 0
        self.seen[slot] = False
        self.seen[slot, [_PLACEHOLDER, start_code]] = True
        self.uniform[slot, : len(uniform)] = uniform

    def move(self, source: int, target: int) -> None:
        for tensor in (self.prefix, self.counts, self.last, self.seen, self.uniform, self.latents):
            tensor[target] = tensor[source]


class DecodeLoop:
    """Not for use by several threads at once, but for `Sentence.cancelled`.

    lag: steps that may be under way on the device before the host reads what an earlier one drew.
    """

    def __init__(
        self, network: Network, options: SamplingOptions, device: torch.device, slots: int = 8, lag: int | None = None
    ) -> None:
        self._network, self._options, self._device = network, options, device
        self._cache = network.new_cache(slots)
        self._slots = Slots(network, slots, device)
        self._rows = torch.arange(slots, device=device)
        self._running: list[Sentence] = []  # by slot
        self._lengths: list[int] = []  # positions in the slot's cache; the host counts along
        self._voices: list[Tensor | None] = [None] * slots  # whose keys and values a slot begins with, left ones too
        self._under_way: deque[Drawn] = deque()
        self._lag = (1 if device.type == "cuda" else 0) if lag is None else lag
        self._step_graph = StepGraphs(self._decode) if device.type == "cuda" else None
        self._capacity = slots

    @property
    def free(self) -> int:
        """Sentences that may be admitted now."""
        return self._capacity - len(self._running)

    @property
    def running(self) -> int:
        return len(self._running)

    @torch.inference_mode()
    def admit(self, sentence: Sentence) -> None:
        """Give it a slot and draw its first code. There must be a free slot."""
        if not self.free:
            raise RuntimeError("the decode loop has no free slot")
        slot = len(self._running)
        prefix = self._network.prefix(sentence.conditioning, sentence.text_tokens)  # [1, P + 1, D]
        random = torch.Generator().manual_seed(sentence.seed)
        uniform = torch.rand(self._network.max_codes, generator=random)
        self._slots.reset(slot, prefix.shape[1] - 1, uniform.to(self._device), self._network.start_code)
        known = self._recall(sentence.conditioning, slot)
        self._voices[slot] = None  # until all of it is there
        latents, logits = self._network.prefill(prefix[:, known:], self._cache, slot, known)
        self._voices[slot] = sentence.conditioning
        self._running.append(sentence)
        self._lengths.append(prefix.shape[1])
        self._draw(latents, logits, self._rows[slot : slot + 1])
        self._note([sentence], self._rows[slot : slot + 1])

    def _recall(self, voice: Tensor, slot: int) -> int:
        """Take over what some slot holds of a voice [1, 32, D]. Returns how many positions of `slot` are known then."""
        held = (each for each, other in enumerate(self._voices) if other is not None and torch.equal(other, voice))
        source, length = next(held, None), voice.shape[1]
        if source is None:
            return 0
        if source != slot:
            self._cache.move(source, slot, length)
        return length

    @torch.inference_mode()
    def step(self) -> list[Sentence]:
        """One more code for every running sentence. Returns those that ended, cancelled ones included."""
        ended = [sentence for sentence in self._running if sentence.cancelled]
        for sentence in ended:
            self._retire(sentence)
        if self._running:
            self._advance()
        while self._under_way and (len(self._under_way) > self._lag or not self._running):
            ended += self._settle(self._under_way.popleft())
        return ended

    def _advance(self) -> None:
        longest = max(self._lengths) + 1
        if self._step_graph is not None:
            self._step_graph(len(self._running), longest, self._network.capacity)
        else:
            self._decode(len(self._running), longest)
        self._lengths = [length + 1 for length in self._lengths]
        self._note(self._running, self._rows[: len(self._running)])

    def _decode(self, batch: int, longest: int) -> None:
        """The whole step of the first `batch` slots, on the device, without asking it anything."""
        slots, rows = self._slots, self._rows[:batch]
        counts = slots.counts[:batch]
        x = self._network.embed(slots.last[:batch], counts)  # [B, D]
        alone = batch == 1 and self._step_graph is None  # a graph's `longest` is rounded up
        latents, logits = self._network.step(x, self._cache, slots.prefix[:batch] + counts, longest, alone=alone)
        self._draw(latents, logits, rows)

    def _draw(self, latents: Tensor, logits: Tensor, rows: Tensor) -> None:
        """Keep latents [B, D] of slots `rows` [B], and draw the code that follows from the logits [B, V] of each."""
        slots = self._slots
        counts = slots.counts[rows]
        slots.latents.index_put_((rows, counts), latents.float())
        codes = next_codes(logits, slots.seen[rows], slots.uniform[rows, counts], self._options)  # [B]
        slots.seen.index_put_((rows, codes), torch.ones_like(codes, dtype=torch.bool))
        slots.last.index_put_((rows,), codes)
        slots.counts.index_put_((rows,), counts + 1)

    def _note(self, sentences: list[Sentence], rows: Tensor) -> None:
        """Remember what is being drawn, to be read when the device is done with it."""
        self._under_way.append(Drawn(list(sentences), self._slots.last[rows]))

    def _settle(self, drawn: "Drawn") -> list[Sentence]:
        """Read drawn codes and retire the sentences that they end."""
        ended = []
        for sentence, code in zip(drawn.sentences, drawn.read(), strict=True):
            if sentence.finished:
                continue  # it ended while this step was already under way
            sentence.codes.append(code)
            if code == self._network.stop_code or len(sentence.codes) >= sentence.max_codes:
                self._retire(sentence)
                ended.append(sentence)
            else:
                slot = self._running.index(sentence)
                sentence.latents = self._slots.latents[slot, : len(sentence.codes)]
        return ended

    def _retire(self, sentence: Sentence) -> None:
        """Hand over the sentence's latents, and fill its slot with the last one."""
        slot, last = self._running.index(sentence), len(self._running) - 1
        sentence.latents = self._slots.latents[slot, : len(sentence.codes)].clone()
        sentence.finished = True
        moved, length = self._running.pop(), self._lengths.pop()
        if slot != last:
            self._slots.move(last, slot)
            self._cache.move(last, slot, length)
            self._running[slot], self._lengths[slot], self._voices[slot] = moved, length, self._voices[last]
            moved.latents = self._slots.latents[slot, : len(moved.codes)]


class Drawn:
    """Codes of one step on their way to the host."""

    def __init__(self, sentences: list[Sentence], codes: Tensor) -> None:
        self.sentences = sentences
        self._copied: torch.cuda.Event | None = None
        if codes.is_cuda:
            self._host = torch.empty(codes.shape, dtype=codes.dtype, pin_memory=True)
            self._host.copy_(codes, non_blocking=True)
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record()
        else:
            self._host = codes

    def read(self) -> list[int]:
        if self._copied is not None:
            self._copied.synchronize()
        return [int(code) for code in self._host]


class StepGraphs:
    """CUDA graphs: one launch for a step instead of about a thousand. `decode(batch, longest)` is captured once per
    batch and rounded length, and replayed from then on.

    `decode` must read and write tensors at fixed addresses only, and ask the device nothing.
    """

    def __init__(self, decode: Callable[[int, int], None]) -> None:
        self._decode = decode
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}

    def __call__(self, batch: int, longest: int, capacity: int) -> None:
        """Run the step, for at least `longest` positions and at most `capacity`."""
        key = (batch, min(capacity, -(-longest // _GRAPH_LENGTH_UNIT) * _GRAPH_LENGTH_UNIT))
        if key in self._graphs:
            self._graphs[key].replay()
            return
        self._decode(*key)  # this step, uncaptured: it also makes the libraries allocate what they need
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):  # records, does not run
            self._decode(*key)
        self._graphs[key] = graph
