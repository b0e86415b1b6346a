"""Small modules of a person's own, each a function as `model.module` names it."""

import torch
from torch import nn
from torch.nn import functional


def perceptron(micro_batch_size=8, hidden_size=256, num_layers=6):
    """A plain sequence; its loss is made from its output."""
    layers = [nn.Linear(64, hidden_size), nn.GELU()]
    for _ in range(num_layers):
        layers += [nn.Linear(hidden_size, hidden_size), nn.GELU(), nn.Dropout(0.1)]
    return nn.Sequential(*layers, nn.Linear(hidden_size, 10)), torch.randn(micro_batch_size, 64)


class Block(nn.Module):
    """Attention through torch's own kernel, and a feed-forward layer."""

    def __init__(self, width, dropout):
        super().__init__()
        self.dropout = dropout
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.first(x)).view(batch, length, 3, width // 32, 32).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + functional.dropout(
            self.out(seen.transpose(1, 2).reshape(x.shape)), self.dropout, self.training
        )
        return x + self.down(functional.gelu(self.up(self.second(x))))


class Decoder(nn.Module):
    """Embeddings, blocks, tied head and loss."""

    def __init__(self, width, layers, dropout, tied):
        super().__init__()
        self.tokens, self.places = nn.Embedding(1000, width), nn.Embedding(512, width)
        self.blocks = nn.ModuleList(Block(width, dropout) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 1000, bias=False)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, tokens, targets):
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return functional.cross_entropy(self.head(self.norm(x)).flatten(0, 1), targets.flatten())


def decoder(*, micro_batch_size, sequence_length, hidden_size=64, num_layers=4, dropout=0.0, tied=False):
    """Takes every size by name."""
    tokens = torch.zeros(micro_batch_size, sequence_length, dtype=torch.long)
    return Decoder(hidden_size, num_layers, dropout, tied), {"tokens": tokens, "targets": tokens}


class Residual(nn.Module):
    """Two convolutions beside their input."""

    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x):
        return functional.relu(x + self.body(x))


def convolution(micro_batch_size=8, hidden_size=16):
    """Images; its batch is a tuple."""
    module = nn.Sequential(
        nn.Conv2d(3, hidden_size, 3, padding=1),
        nn.Sequential(*(Residual(hidden_size) for _ in range(4))),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(hidden_size, 10),
    )
    return module, (torch.randn(micro_batch_size, 3, 32, 32),)


def encoder(micro_batch_size=4, sequence_length=64):
    """torch.nn's own encoder, which copies its layer."""
    layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 3, enable_nested_tensor=False), torch.randn(
        micro_batch_size, sequence_length, 64
    )


def llama(micro_batch_size=2, sequence_length=64, hidden_size=64, num_layers=4):
    """A Hugging Face model from a bare configuration; its output carries the loss."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=hidden_size,
        intermediate_size=3 * hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=1000,
        max_position_embeddings=2048,
        use_cache=False,
    )
    tokens = torch.zeros(micro_batch_size, sequence_length, dtype=torch.long)
    return LlamaForCausalLM(config), {"input_ids": tokens, "labels": tokens}


class Recomputed(nn.Module):
    """Blocks that are computed again in the backward pass."""

    def __init__(self, width, layers):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, 0.0) for _ in range(layers))

    def forward(self, x):
        from torch.utils.checkpoint import checkpoint

        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False)
        return x.square().mean()


def recomputed(micro_batch_size=4, sequence_length=64, hidden_size=64, num_layers=5):
    """Checkpoints by itself."""
    return Recomputed(hidden_size, num_layers), torch.randn(micro_batch_size, sequence_length, hidden_size)


class Recurrent(nn.Module):
    """Two recurrent layers and a head."""

    def __init__(self, layers):
        super().__init__()
        self.layers, self.head = layers, nn.Linear(64, 50)

    def forward(self, x):
        return self.head(self.layers(x)[0]).logsumexp(-1).mean()


def recurrent(micro_batch_size=4, sequence_length=32):
    """Every time step is an operation of its own on the CPU."""
    return Recurrent(nn.GRU(32, 64, 2, batch_first=True)), torch.randn(micro_batch_size, sequence_length, 32)


def longer(micro_batch_size=8, sequence_length=64):
    """On the CPU oneDNN runs all time steps at once, with a workspace of its own."""
    return Recurrent(nn.LSTM(32, 64, 2, batch_first=True)), torch.randn(micro_batch_size, sequence_length, 32)


def stochastic(micro_batch_size=4):
    """Reads rates of dropout from a row of numbers, and draws until its weights lie in a range."""
    rates = [rate.item() for rate in torch.linspace(0, 0.2, 4)]
    module = nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.Dropout(rate)) for rate in rates))
    for layer in module:
        nn.init.trunc_normal_(layer[0].weight)
    return module, torch.randn(micro_batch_size, 8)


class Chunked(nn.Module):
    """Works through its sequence in pieces: longer ones take more operations."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 16)

    def forward(self, x):
        return torch.stack([self.layer(piece).square().mean() for piece in x.split(16, dim=1)]).sum()


def chunked(micro_batch_size=2, sequence_length=32):
    """Another number of operations at another length."""
    return Chunked(), torch.randn(micro_batch_size, sequence_length, 16)


class Transposed(nn.Module):
    """Copies only where there is more than one sequence."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 16)

    def forward(self, x):
        y = self.layer(x)
        turned = y.transpose(0, 1).contiguous()
        return turned.square().mean() + y.square().mean()


def transposed(micro_batch_size=2, sequence_length=32):
    """Another memory at micro-batch 1."""
    return Transposed(), torch.randn(micro_batch_size, sequence_length, 16)


class Uneven(nn.Module):
    """Two inputs that share no dimension."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 16)

    def forward(self, x, y):
        return self.layer(x).mean() + self.layer(y).square().mean()


def uneven():
    """No micro-batch in it."""
    return Uneven(), (torch.randn(3, 16), torch.randn(5, 16))


def bare():
    """No batch."""
    return nn.Linear(2, 2)


def untrained():
    """Nothing to train."""
    return nn.Linear(2, 2).requires_grad_(False), torch.randn(2, 2)


HERE = "no function"
