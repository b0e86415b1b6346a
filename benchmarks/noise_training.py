"""A small transformer learns the text of the licence on every rank of a job; the run measures its gradient noise.

Started by plots_noise.py and by the tests, with LAUNCHER_PLAN naming its plan:

    python -m torch.distributed.run --nproc_per_node 2 benchmarks/noise_training.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from launcher import runtime

TEXT = (Path(__file__).resolve().parents[1] / "LICENSE").read_text(encoding="utf-8")
LETTERS = sorted(set(TEXT))
LENGTH, WIDTH, LAYERS, HEADS = 64, 64, 2, 4


class Windows(torch.utils.data.Dataset):
    """Every stretch of 64 letters of the text, and the letters after each."""

    def __init__(self) -> None:
        self.text = torch.tensor([LETTERS.index(letter) for letter in TEXT])

    def __len__(self) -> int:
        return len(self.text) - LENGTH

    def __getitem__(self, index: int) -> dict[str, Any]:
        window = self.text[index : index + LENGTH + 1]
        return {"letters": window[:-1], "labels": window[1:]}


class Model(torch.nn.Module):
    """A decoder with learned positions."""

    def __init__(self) -> None:
        super().__init__()
        self.letters = torch.nn.Embedding(len(LETTERS), WIDTH)
        self.places = torch.nn.Embedding(LENGTH, WIDTH)
        layer = torch.nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = torch.nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.logits = torch.nn.Linear(WIDTH, len(LETTERS))

    def forward(self, batch: dict[str, Any]) -> Any:
        """The loss of each sequence, summed over its letters."""
        mask = torch.nn.Transformer.generate_square_subsequent_mask(LENGTH)
        inside = self.letters(batch["letters"]) + self.places.weight
        logits = self.logits(self.layers(inside, mask=mask, is_causal=True))
        return torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), batch["labels"], reduction="none"
        ).sum(1)


def main() -> None:
    torch.manual_seed(0)
    distributed.init_process_group("gloo")
    model = DistributedDataParallel(Model())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    run = runtime.start(model)
    for step in run.steps(Windows()):
        for micro in step:
            run.backward(model(micro.batch), micro)
        run.apply(optimizer)
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
