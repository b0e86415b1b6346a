"""Losses that look at their neighbours, from a real library: cut into micro-batches they are other losses."""

import pytest

pytestmark = pytest.mark.torch


@pytest.fixture
def generator():
    import torch

    return torch.Generator().manual_seed(0)


def test_in_batch_negatives(generator):
    """MetaCLIP's loss over 8 pairs is not the mean of two losses over 4: a pair has 3 negatives there, and 7 here.

    Source: transformers@5.23.0 models/metaclip_2/modeling_metaclip_2.py:image_text_contrastive_loss.
    """
    import torch
    from transformers.models.metaclip_2.modeling_metaclip_2 import image_text_contrastive_loss as clip_loss

    left, right = torch.randn(2, 8, 16, generator=generator)
    cut = [clip_loss(a @ b.T) for a, b in zip(left.split(4), right.split(4), strict=True)]
    whole = clip_loss(left @ right.T)
    assert abs(float(sum(cut) / 2 - whole)) > 0.1
    # with no information in the pairs a loss is the logarithm of how many there are to choose from
    for pairs in (4, 8):
        assert float(clip_loss(torch.zeros(pairs, pairs))) == pytest.approx(float(torch.tensor(pairs).log()))


def test_a_mixtures_balancing_loss(generator):
    """Mixtral's loss is a product of two means over the tokens at hand: the mean over micro-batches is another number.

    Source: transformers@5.23.0 models/mixtral/modeling_mixtral.py:load_balancing_loss_func.
    """
    import torch
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    scores = torch.randn(64, 8, generator=generator) * 2

    def loss(rows):
        return float(load_balancing_loss_func((rows,), num_experts=8, top_k=2))

    whole = loss(scores)
    cut = [loss(part) for part in scores.split(8)]
    assert sum(cut) / len(cut) > whole * 1.05  # few tokens are never as evenly spread as many
    assert loss(scores[torch.randperm(64, generator=generator)]) == pytest.approx(whole)


def test_capacity_of_a_micro_batch(generator):
    """Tokens over an expert's slots are dropped; which ones are depends on how many tokens are counted at once.

    capacity = ceil(tokens x experts per token / experts x factor).
    Source: NVIDIA/Megatron-LM@d98e8a64 megatron/core/transformer/moe/moe_utils.py:get_capacity, written out here.
    """
    import math

    import torch

    chosen = torch.randint(0, 4, (64,), generator=generator)

    def kept(parts):
        found = []
        for part in chosen.split(parts):
            slots = math.ceil(len(part) / 4 * 1.0)
            seen = [0] * 4
            for expert in part.tolist():
                seen[expert] += 1
                found.append(seen[expert] <= slots)
        return found

    assert kept(64) != kept(8)
    assert sum(kept(64)) > sum(kept(8))
