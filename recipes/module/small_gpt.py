"""A GPT of our own, for `batchwright trace`: a function returns the module and one sample batch."""

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Attention and feed-forward layer, each after a norm and beside its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        heads = self.query_key_value(self.attention_norm(x)).view(batch, length, 3, self.heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(functional.gelu(self.up(self.norm(x))))


class SmallGpt(nn.Module):
    """Embeddings, blocks, and the loss of the next token."""

    def __init__(self, width: int, layers: int, vocabulary: int, positions: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.layers = nn.ModuleList(Block(width, width // 64) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        for layer in self.layers:
            x = layer(x)
        return functional.cross_entropy(self.head(self.norm(x)).flatten(0, 1), targets.flatten())


def build(
    *, micro_batch_size: int, sequence_length: int, hidden_size: int, num_layers: int, vocab_size: int = 8192
) -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    """The module and a sample batch, at the sizes of the recipe."""
    tokens = torch.zeros(micro_batch_size, sequence_length, dtype=torch.long)
    return SmallGpt(hidden_size, num_layers, vocab_size, positions=4096), (tokens, tokens)
