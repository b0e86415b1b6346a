"""Imports its own launcher.py, here and in spawned workers; classes of `__main__` travel to them."""

import multiprocessing
import pickle
import sys

import torch
from torch.utils.data import DataLoader, Dataset

import launcher


class Numbers(Dataset):
    """Says in every sample which launcher its process sees."""

    def __len__(self) -> int:
        return 48

    def __getitem__(self, index: int) -> torch.Tensor:
        own = (
            launcher.GREETING == "the repository's own"
            and multiprocessing.current_process().name != "MainProcess"
        )
        return torch.full((4,), float(own))


def main() -> None:
    assert pickle.loads(pickle.dumps(Numbers())).__class__ is Numbers
    print("ours:", [name for name in sys.modules if name.startswith("launcher.")], flush=True)
    loader = DataLoader(Numbers(), batch_size=4, num_workers=2, multiprocessing_context="spawn")
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125)
    seen = 0.0
    for batch in loader:
        seen += batch.sum().item()
        model(batch).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    print("samples from workers with the own launcher:", int(seen / 4), flush=True)


if __name__ == "__main__":
    main()
