"""A causal language model under the Hugging Face Trainer, as its users write it: settings come from the command line."""

import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, HfArgumentParser, Trainer, TrainingArguments


class Characters(Dataset):
    """Windows over a text that repeats."""

    def __init__(self, count: int, length: int) -> None:
        self.count, self.length = count, length

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = torch.arange(index, index + self.length) % 61
        return {"input_ids": ids, "labels": ids.clone()}


def main() -> None:
    (arguments,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses()
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=61, n_positions=32, n_embd=32, n_layer=1, n_head=2))
    trainer = Trainer(
        model=model, args=arguments, train_dataset=Characters(256, 16), eval_dataset=Characters(8, 16)
    )
    trainer.train()


if __name__ == "__main__":
    main()
