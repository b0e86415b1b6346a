"""Networks of the kinds `mlp`, `bag`, recurrent, `resnet` and `vit`, written as people write them in plain torch."""

from __future__ import annotations

import torch
from torch import nn

ACTIVATIONS = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "gelu_new": lambda: nn.GELU(approximate="tanh"),
}
NORMS = {
    "layernorm": nn.LayerNorm,
    "rmsnorm": nn.RMSNorm,
    "batchnorm": nn.BatchNorm1d,
    "groupnorm": lambda width: nn.GroupNorm(32, width),
}


def hidden_layers(network, fan_in, count):
    layers = []
    for _ in range(count):
        block = [nn.Linear(fan_in, network.hidden_size)]
        if network.norm != "none":
            block.append(NORMS[network.norm](network.hidden_size))
        block.append(ACTIVATIONS[network.activation]())
        if network.dropout:
            block.append(nn.Dropout(network.dropout))
        layers.append(nn.Sequential(*block))
        fan_in = network.hidden_size
    return layers


def mlp(network):
    fan_in = network.input_size or network.hidden_size
    hidden = hidden_layers(network, fan_in, max(1, network.num_layers))
    return nn.Sequential(
        *hidden, nn.Linear(network.hidden_size, network.num_classes or network.output_size or 1)
    )


def bag(network):
    return nn.Sequential(
        nn.EmbeddingBag(network.vocab_size, network.hidden_size, mode="mean"),
        *hidden_layers(network, network.hidden_size, network.num_layers),
        nn.Linear(network.hidden_size, network.num_classes or network.output_size or 1),
    )


class ResidualBlock(nn.Module):
    """torchvision's BasicBlock and Bottleneck (version 1.5)."""

    def __init__(self, given, inner, result, stride, norm):
        super().__init__()
        first = (
            [(given, inner, 3, stride)]
            if result == inner
            else [(given, inner, 1, 1), (inner, inner, 3, stride)]
        )
        rows = [*first, (inner, result, 3 if result == inner else 1, 1)]
        self.rows = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, k, stride=s, padding=k // 2, bias=False), norm(o))
            for i, o, k, s in rows
        )
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or given != result:
            self.downsample = nn.Sequential(
                nn.Conv2d(given, result, 1, stride=stride, bias=False), norm(result)
            )

    def forward(self, x):
        out = x
        for number, row in enumerate(self.rows):
            out = row(out)
            if number + 1 < len(self.rows):
                out = self.relu(out)
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


def resnet(network):
    blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
    width, depth = network.hidden_size or 64, network.depth or 50
    norm = NORMS["groupnorm"] if network.norm == "groupnorm" else nn.BatchNorm2d
    layers = [
        nn.Sequential(
            nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False),
            norm(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
    ]
    given = width
    for stage, count in enumerate(blocks[depth]):
        inner = width << stage
        result = inner if depth < 50 else 4 * inner
        for number in range(count):
            layers.append(ResidualBlock(given, inner, result, 2 if stage and not number else 1, norm))
            given = result
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(given, network.num_classes or 1000))
    return nn.Sequential(*layers, head)


class Recurrent(nn.Module):
    """Embedding or features, recurrent layers, a linear head on every step or, for labels, on the last."""

    def __init__(self, network):
        super().__init__()
        width = network.input_size or network.hidden_size
        self.embedding = None if network.input_size else nn.Embedding(network.vocab_size, width)
        more = {"proj_size": network.projection_size} if network.projection_size else {}
        layers = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[network.kind]
        self.layers = layers(
            width,
            network.hidden_size,
            max(1, network.num_layers),
            batch_first=True,
            dropout=network.dropout,
            bidirectional=network.bidirectional,
            **more,
        )
        result = (network.projection_size or network.hidden_size) * (2 if network.bidirectional else 1)
        each = network.output_size or (1 if network.input_size else network.vocab_size)
        self.labels = bool(network.num_classes)
        self.head = nn.Linear(result, network.num_classes or each)
        if (
            network.tie_word_embeddings
            and self.embedding is not None
            and self.head.weight.shape == self.embedding.weight.shape
        ):
            self.head.weight = self.embedding.weight

    def forward(self, x):
        result, _ = self.layers(x if self.embedding is None else self.embedding(x))
        return self.head(result[:, -1] if self.labels else result).flatten(0, -2)


def recurrent(network):
    return Recurrent(network)


class EncoderBlock(nn.Module):
    """torchvision's EncoderBlock."""

    def __init__(self, network):
        super().__init__()
        width, inner = network.hidden_size, network.intermediate_size or 4 * network.hidden_size
        self.scores = False
        self.ln_1 = nn.LayerNorm(width)
        self.self_attention = nn.MultiheadAttention(
            width, network.num_attention_heads, dropout=network.dropout, batch_first=True
        )
        self.dropout = nn.Dropout(network.dropout)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, inner),
            ACTIVATIONS[network.activation](),
            nn.Dropout(network.dropout),
            nn.Linear(inner, width),
            nn.Dropout(network.dropout),
        )

    def forward(self, x):
        y = self.ln_1(x)
        y, _ = self.self_attention(y, y, y, need_weights=self.scores)
        x = x + self.dropout(y)
        return x + self.mlp(self.ln_2(x))


class Patches(nn.Module):
    """Patches, class token and positions."""

    def __init__(self, network):
        super().__init__()
        patch, width = network.patch_size or 16, network.hidden_size
        tokens = ((network.image_size or 224) // patch) ** 2 + 1
        self.conv_proj = nn.Conv2d(3, width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, tokens, width))
        self.dropout = nn.Dropout(network.dropout)

    def forward(self, images):
        x = self.conv_proj(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)
        return self.dropout(x + self.positions)


class Classifier(nn.Module):
    """Last norm and a linear layer on the class token."""

    def __init__(self, network):
        super().__init__()
        self.norm = nn.LayerNorm(network.hidden_size)
        self.head = nn.Linear(network.hidden_size, network.num_classes or 1000)

    def forward(self, x):
        return self.head(self.norm(x)[:, 0])


def vit(network):
    blocks = [EncoderBlock(network) for _ in range(network.num_layers)]
    return nn.Sequential(Patches(network), *blocks, Classifier(network))
