"""torchao's README tables: Llama-3 with torchtitan (max_reserved, GiB), ViT with low-bit optimizers (max_allocated)."""

from __future__ import annotations

from collections.abc import Mapping

from published import rows
from published.case import GB, Case, number, whole
from published.torchtitan import titan

from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Setting

__all__ = ["map_row"]


def map_row(row: Mapping[str, str]) -> Case | str:
    """One line."""
    name = row["row_id"]
    if name.startswith(("ao-workflows", "ao-float8")):
        return titan(row)
    if name.startswith("ao-f8nc"):
        return "no-batch"  # neither model nor batch stand on the page
    if name.startswith("ao-optim-llama"):
        return "no-length"
    if name.startswith(("ao-qt", "ao-moe")):
        return "no-dims"
    return _vit(row)


def _vit(row: Mapping[str, str]) -> Case | str:
    huge = "vith" in row["row_id"]
    optimizer = row["optimizer"]
    if "4-bit" in optimizer or "FP8" in optimizer or row.get("offload") not in ("", "None", None):
        return "no-method"
    # timm/models/vision_transformer.py: vit_huge_patch14_224, and vit_giant_patch14_dinov2, whose gated 4096 weigh 6144
    network = Network(
        kind="vit",
        implementation="compiled" if row["compile"] == "yes" else "transformers",
        hidden_size=1280 if huge else 1536,
        num_layers=32 if huge else 40,
        num_attention_heads=16 if huge else 24,
        num_key_value_heads=16 if huge else 24,
        head_dim=80 if huge else 64,
        intermediate_size=5120 if huge else 6144,
        activation="gelu",
        image_size=224,
        patch_size=14,
        num_classes=45,
    )
    amp = "AMP" in row["precision"]
    figure = number(row["peak_mem_gb"])
    return Case(
        network=network,
        setting=Setting(
            micro_batch_size=whole(row["micro_batch"]),
            attention="sdpa",
            optimizer="adamw-8bit" if "8-bit" in optimizer else "adamw",
            optimizer_implementation="fused",
            checkpointing="full" if row["act_ckpt"] == "full" else "none",
            compile=row["compile"] == "yes",
            formats=rows.AMPBF if amp else rows.PURE,
        ),
        quantity="allocated" if figure else None,
        measured=figure * GB if figure else None,
        outcome=rows.outcome(row),
        **rows.cap(row),
    )
