"""What a denoising step costs with more and more people, beside the paper's formula as it is written.

Measured on the CPU on a random network of middle size. Figures are printed, never asserted.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.dit.shapes import LatentShape

if TYPE_CHECKING:
    from engine.dit.attention import StreamAttention
    from engine.dit.streams import Streams, StreamTokens
    from engine.dit.transformer import AnyTalkerTransformer3DModel

LATENT = LatentShape(11, 32, 48)  # 41 frames; 384 tokens per latent frame
FACE_ROWS, FACE_COLUMNS = 4, 5  # tokens of a face: 5 % of the picture
FACES_PER_ROW = 4
NUM_FRAMES = 4 * (LATENT.num_frames - 1) + 1
COUNTS = (1, 2, 4, 8)
HEADS, HEAD_DIM, NUM_BLOCKS = 4, 64, 1


class DenseProcessor:
    """The paper's audio-face attention as written (spec A.7): for each person from every token to every key of face
    and voice, with a mask on the scores that says which part of the voice a latent frame hears, times mask and gain.

    ``weights_PS``: mask times gain of every person. The mask on the scores is built once, and keys are kept as ours
    are, so that what is compared is the attention alone.
    """

    _attention_backend = None
    _parallel_config = None

    def __init__(self, weights_PS: Any, tokens_per_frame: int) -> None:
        self.weights_PS, self.tokens_per_frame = weights_PS, tokens_per_frame
        self._masks: dict[tuple[int, ...], Any] = {}

    def __call__(self, attn: "StreamAttention", hidden_states: Any, tokens: "StreamTokens", *_: None) -> Any:
        from diffusers.models.attention_dispatch import dispatch_attention_fn as attend

        query_BSHd = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        text, image, people = tokens.keys(attn, lambda: attn.keys(tokens))
        total_BSHd = attend(query_BSHd, *text) + attend(query_BSHd, *image)
        for weights_S, person in zip(self.weights_PS, tokens.people, strict=True):
            key, value = (part[None, person.first : person.end] for part in people or ())
            attended_BSHd = attend(query_BSHd, key, value, self._mask(len(weights_S), person))
            total_BSHd = total_BSHd + weights_S[:, None, None] * attended_BSHd
        return attn.to_out[1](attn.to_out[0](total_BSHd.flatten(2)))

    def _mask(self, num_tokens: int, person: Any) -> Any:
        import torch

        layout = (person.num_face, person.num_frames, person.temporal)
        if layout not in self._masks:
            heard_K = torch.arange(person.num_frames).repeat_interleave(person.tokens_per_frame)
            frame_S1 = torch.arange(num_tokens)[:, None] // self.tokens_per_frame
            hears_SK = (
                (frame_S1 == 0) | (not person.temporal) | ((heard_K > 4 * (frame_S1 - 1)) & (heard_K <= 4 * frame_S1))
            )
            face_SK = torch.ones(num_tokens, person.num_face, dtype=torch.bool)
            self._masks[layout] = torch.cat([face_SK, hears_SK], dim=1)[None, None]
        return self._masks[layout]


@contextmanager
def dense(network: "AnyTalkerTransformer3DModel", streams: "Streams") -> Iterator[None]:
    """Within, ``network`` attends to ``streams`` by the paper's formula."""
    ours: dict[str, Any] = network.attn_processors
    theirs: Any = DenseProcessor(streams.weights_PS, streams.latent.tokens_per_frame)
    network.set_attn_processor({name: theirs if "attn2" in name else processor for name, processor in ours.items()})
    try:
        yield
    finally:
        network.set_attn_processor(ours)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other count as computing: on a busy machine that hides what is measured."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class StepTimes:
    """Least seconds of computing of one step with ``num_people``; ``difference``: largest, of the two outputs."""

    num_people: int
    ours_s: float
    dense_s: float
    difference: float


def bench_dit(repeats: int = 5) -> None:
    """Print what a step costs with 1, 2, 4 and 8 people, ours and by the paper's formula, in turn in one run."""
    network = _network()
    share = FACE_ROWS * FACE_COLUMNS / LATENT.tokens_per_frame
    print(
        f"One step: {LATENT.num_tokens} tokens ({NUM_FRAMES} frames), width {HEADS * HEAD_DIM}, {NUM_BLOCKS} block, "
        f"each face {share:.1%} of the picture, keys kept.\nSeconds of computing in one thread, the least of {repeats} "
        "interleaved repeats. 'more': what each further person adds, as a share of the step of one.\n"
        f"{'people':>6} {'ours':>8} {'more':>8} {'dense':>8} {'more':>8} {'dense/ours':>11} {'differ by':>10}"
    )
    with _one_thread():
        rows = _measured(network, repeats)
    for row in rows:
        more = [_each_more(row.num_people, row.ours_s, rows[0].ours_s)]
        more.append(_each_more(row.num_people, row.dense_s, rows[0].dense_s))
        print(f"{row.num_people:>6} {row.ours_s:>8.3f} {more[0]:>8} {row.dense_s:>8.3f} {more[1]:>8} "
              f"{row.dense_s / row.ours_s:>11.2f} {row.difference:>10.1e}")  # fmt: skip


def _each_more(num_people: int, step_s: float, alone_s: float) -> str:
    return f"{(step_s / alone_s - 1) / (num_people - 1):.2%}" if num_people > 1 else ""


def _measured(network: "AnyTalkerTransformer3DModel", repeats: int) -> list[StepTimes]:
    import torch

    every = {count: _streams(count) for count in COUNTS}
    seconds: dict[tuple[int, bool], list[float]] = {(count, way): [] for count in COUNTS for way in (False, True)}
    differences = {}
    with torch.no_grad():
        for repeat in range(repeats + 1):  # the first one embeds, and is not counted
            for count, streams in every.items():
                ours_s, ours = _step(network, streams)
                with dense(network, streams):
                    dense_s, theirs = _step(network, streams)
                differences[count] = float((ours - theirs).abs().max())
                if repeat:
                    seconds[count, False].append(ours_s)
                    seconds[count, True].append(dense_s)
    # Whatever else a computer does only adds: the least disturbed repeat is what the step takes.
    least = {key: min(values) for key, values in seconds.items()}
    return [StepTimes(count, least[count, False], least[count, True], differences[count]) for count in COUNTS]


def _network() -> "AnyTalkerTransformer3DModel":
    import torch

    from engine.dit.transformer import AnyTalkerTransformer3DModel

    torch.manual_seed(0)
    return AnyTalkerTransformer3DModel(
        num_attention_heads=HEADS, attention_head_dim=HEAD_DIM, ffn_dim=1536, num_layers=NUM_BLOCKS, text_dim=64,
        image_dim=64, audio_window_dim=5 * 12 * 16, audio_hidden_dim=64,
    ).eval()  # fmt: skip


def _streams(num_people: int) -> "Streams":
    import torch

    from engine.dit.streams import Streams
    from engine.dit.types import Person

    made = torch.Generator().manual_seed(1)
    people = []
    for index in range(num_people):
        grid = torch.zeros(LATENT.token_grid)
        top, left = index // FACES_PER_ROW * FACE_ROWS, index % FACES_PER_ROW * FACE_COLUMNS
        grid[:, top : top + FACE_ROWS, left : left + FACE_COLUMNS] = 1
        voice, face = torch.randn(NUM_FRAMES, 5, 12, 16, generator=made), torch.randn(1, 257, 64, generator=made)
        people.append(Person(voice, face, grid.flatten()))
    return Streams(torch.randn(512, 64, generator=made), torch.randn(1, 257, 64, generator=made), people, LATENT)


def _step(network: "AnyTalkerTransformer3DModel", streams: "Streams") -> tuple[float, Any]:
    import torch

    made = torch.Generator().manual_seed(2)
    latents = torch.randn(1, 36, LATENT.num_frames, LATENT.height, LATENT.width, generator=made)
    started = time.process_time()
    sample = network(latents, torch.tensor([500]), streams).sample
    return time.process_time() - started, sample
