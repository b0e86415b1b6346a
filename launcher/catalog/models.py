"""Public models by name: their dimensions in the words of a recipe, with a source and their size as a check.

`model.preset` names a row. Dimensions are those of the configuration published with the weights. The shapes that a
family's rows share are in launcher/catalog/model_families.py.
"""

from __future__ import annotations

from launcher.catalog.model_families import (
    Preset,
    bart,
    bert,
    bloom,
    gpt2,
    gpt3,
    llama,
    neox,
    opt,
    phi,
    resnet,
    roberta,
    t5,
    vit,
)

__all__ = ["PRESETS", "Preset"]

_MOE = {"family": "mixtral", "kind": "moe", "num_experts": 8, "num_experts_per_token": 2}
_GATED_T5 = {"family": "t5_v1_1", "gated_mlp": True, "activation": "gelu_new", "tie_word_embeddings": False}
_TIED = {"tie_word_embeddings": True}
_QWEN = {"family": "qwen2"}
_QWEN3 = {"family": "qwen3", "head_dim": 128}
_GEMMA = {"family": "gemma", "activation": "gelu", "tie_word_embeddings": True, "head_dim": 256}
_GEMMA2 = {**_GEMMA, "family": "gemma2"}
_GEMMA3 = {**_GEMMA, "family": "gemma3"}
_PHI3 = {"family": "phi3"}
_OLMOE = {"family": "olmoe", "kind": "moe", "num_experts": 64, "num_experts_per_token": 8}
_QWEN_MOE = {
    "family": "qwen2_moe",
    "kind": "moe",
    "num_experts": 60,
    "num_experts_per_token": 4,
    "moe_intermediate_size": 1408,
    "num_shared_experts": 4,
}
_QWEN3_MOE = {
    "family": "qwen3_moe",
    "kind": "moe",
    "head_dim": 128,
    "num_experts": 128,
    "num_experts_per_token": 8,
}
_DEEPSEEK = {
    "family": "deepseek_v3",
    "kind": "moe",
    "head_dim": 128,
    "num_experts": 256,
    "num_experts_per_token": 8,
    "moe_intermediate_size": 2048,
    "num_shared_experts": 1,
    "first_dense_layers": 3,
    "kv_latent_dim": 512,
    "q_latent_dim": 1536,
    "rotary_dim": 64,
    "value_dim": 128,
}

PRESETS: dict[str, Preset] = {
    "gpt2": gpt2(768, 12, 12, 124_439_808, "openai-community/gpt2"),
    "gpt2-medium": gpt2(1024, 24, 16, 354_823_168, "openai-community/gpt2-medium"),
    "gpt2-large": gpt2(1280, 36, 20, 774_030_080, "openai-community/gpt2-large"),
    "gpt2-xl": gpt2(1600, 48, 25, 1_557_611_200, "openai-community/gpt2-xl"),
    "gpt-3-125m": gpt3(768, 12, 12, 125_226_240),
    "gpt-3-350m": gpt3(1024, 24, 16, 355_871_744),
    "gpt-3-760m": gpt3(1536, 24, 16, 760_300_032),
    "gpt-3-1.3b": gpt3(2048, 24, 16, 1_315_723_264),
    "gpt-3-2.7b": gpt3(2560, 32, 32, 2_651_553_280),
    "gpt-3-6.7b": gpt3(4096, 32, 32, 6_658_404_352),
    "gpt-3-13b": gpt3(5120, 40, 40, 12_853_386_240),
    "gpt-3-175b": gpt3(12288, 96, 96, 174_604_259_328),
    "opt-125m": opt(768, 12, 12, 125_239_296, "facebook/opt-125m"),
    "opt-1.3b": opt(2048, 24, 32, 1_315_758_080, "facebook/opt-1.3b"),
    "opt-2.7b": opt(2560, 32, 32, 2_651_596_800, "facebook/opt-2.7b"),
    "opt-6.7b": opt(4096, 32, 32, 6_658_473_984, "facebook/opt-6.7b"),
    "opt-13b": opt(5120, 40, 40, 12_853_473_280, "facebook/opt-13b"),
    "opt-30b": opt(7168, 48, 56, 29_974_540_288, "facebook/opt-30b"),
    "opt-66b": opt(9216, 64, 72, 65_719_701_504, "facebook/opt-66b"),
    "opt-175b": opt(12288, 96, 96, 174_604_468_224, "Zhang et al. 2022, arXiv:2205.01068, table 1"),
    "bert-base": bert(768, 12, 12, 109_514_298, "google-bert/bert-base-uncased"),
    "bert-large": bert(1024, 24, 16, 335_174_458, "google-bert/bert-large-uncased"),
    "roberta-base": roberta(768, 12, 12, 124_697_433, "FacebookAI/roberta-base"),
    "roberta-large": roberta(1024, 24, 16, 355_412_057, "FacebookAI/roberta-large"),
    "t5-small": t5((512, 6, 8, 64, 2048), 60_506_624, "google-t5/t5-small"),
    "t5-base": t5((768, 12, 12, 64, 3072), 222_903_552, "google-t5/t5-base"),
    "t5-large": t5((1024, 24, 16, 64, 4096), 737_668_096, "google-t5/t5-large"),
    "t5-3b": t5((1024, 24, 32, 128, 16384), 2_851_598_336, "google-t5/t5-3b"),
    "t5-11b": t5((1024, 24, 128, 128, 65536), 11_307_321_344, "google-t5/t5-11b"),
    "flan-t5-base": t5((768, 12, 12, 64, 2048), 247_577_856, "google/flan-t5-base", **_GATED_T5),
    "flan-t5-large": t5((1024, 24, 16, 64, 2816), 783_150_080, "google/flan-t5-large", **_GATED_T5),
    "flan-t5-xl": t5((2048, 24, 32, 64, 5120), 2_849_757_184, "google/flan-t5-xl", **_GATED_T5),
    "flan-t5-xxl": t5((4096, 24, 64, 64, 10240), 11_135_332_352, "google/flan-t5-xxl", **_GATED_T5),
    "bloom-560m": bloom(1024, 24, 16, 559_214_592, "bigscience/bloom-560m"),
    "bloom-1b1": bloom(1536, 24, 16, 1_065_314_304, "bigscience/bloom-1b1"),
    "bloom-1b7": bloom(2048, 24, 16, 1_722_408_960, "bigscience/bloom-1b7"),
    "bloom-3b": bloom(2560, 30, 32, 3_002_557_440, "bigscience/bloom-3b"),
    "bloom-7b1": bloom(4096, 30, 32, 7_069_016_064, "bigscience/bloom-7b1"),
    "bloom-176b": bloom(14336, 70, 112, 176_247_271_424, "bigscience/bloom"),
    "llama-7b": llama((4096, 32, 32, 32, 11008, 32000), 6_738_415_616, "huggyllama/llama-7b"),
    "llama-13b": llama((5120, 40, 40, 40, 13824, 32000), 13_015_864_320, "huggyllama/llama-13b"),
    "llama-30b": llama((6656, 60, 52, 52, 17920, 32000), 32_528_943_616, "huggyllama/llama-30b"),
    "llama-65b": llama((8192, 80, 64, 64, 22016, 32000), 65_285_660_672, "huggyllama/llama-65b"),
    "llama-2-7b": llama((4096, 32, 32, 32, 11008, 32000), 6_738_415_616, "meta-llama/Llama-2-7b-hf"),
    "llama-2-13b": llama((5120, 40, 40, 40, 13824, 32000), 13_015_864_320, "meta-llama/Llama-2-13b-hf"),
    "llama-2-70b": llama((8192, 80, 64, 8, 28672, 32000), 68_976_648_192, "meta-llama/Llama-2-70b-hf"),
    "llama-3-8b": llama((4096, 32, 32, 8, 14336, 128256), 8_030_261_248, "meta-llama/Meta-Llama-3-8B"),
    "llama-3-70b": llama((8192, 80, 64, 8, 28672, 128256), 70_553_706_496, "meta-llama/Meta-Llama-3-70B"),
    "llama-3.1-8b": llama((4096, 32, 32, 8, 14336, 128256), 8_030_261_248, "meta-llama/Llama-3.1-8B"),
    "llama-3.1-70b": llama((8192, 80, 64, 8, 28672, 128256), 70_553_706_496, "meta-llama/Llama-3.1-70B"),
    "llama-3.1-405b": llama(
        (16384, 126, 128, 8, 53248, 128256), 405_853_388_800, "meta-llama/Llama-3.1-405B"
    ),
    "llama-3.2-1b": llama((2048, 16, 32, 8, 8192, 128256), 1_235_814_400, "meta-llama/Llama-3.2-1B", **_TIED),
    "llama-3.2-3b": llama((3072, 28, 24, 8, 8192, 128256), 3_212_749_824, "meta-llama/Llama-3.2-3B", **_TIED),
    "tinyllama-1.1b": llama(
        (2048, 22, 32, 4, 5632, 32000), 1_100_048_384, "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T"
    ),
    "mistral-7b": llama(
        (4096, 32, 32, 8, 14336, 32000), 7_241_732_096, "mistralai/Mistral-7B-v0.1", family="mistral"
    ),
    "mistral-nemo-12b": llama(
        (5120, 40, 32, 8, 14336, 131072),
        12_247_782_400,
        "mistralai/Mistral-Nemo-Base-2407",
        family="mistral",
        head_dim=128,
    ),
    "mixtral-8x7b": llama(
        (4096, 32, 32, 8, 14336, 32000), 46_702_792_704, "mistralai/Mixtral-8x7B-v0.1", **_MOE
    ),
    "mixtral-8x22b": llama(
        (6144, 56, 48, 8, 16384, 32000), 140_620_634_112, "mistralai/Mixtral-8x22B-v0.1", **_MOE
    ),
    "qwen2.5-0.5b": llama((896, 24, 14, 2, 4864, 151936), 494_032_768, "Qwen/Qwen2.5-0.5B", **_QWEN, **_TIED),
    "qwen2.5-1.5b": llama(
        (1536, 28, 12, 2, 8960, 151936), 1_543_714_304, "Qwen/Qwen2.5-1.5B", **_QWEN, **_TIED
    ),
    "qwen2.5-3b": llama((2048, 36, 16, 2, 11008, 151936), 3_085_938_688, "Qwen/Qwen2.5-3B", **_QWEN, **_TIED),
    "qwen2.5-7b": llama((3584, 28, 28, 4, 18944, 152064), 7_615_616_512, "Qwen/Qwen2.5-7B", **_QWEN),
    "qwen2.5-14b": llama((5120, 48, 40, 8, 13824, 152064), 14_770_033_664, "Qwen/Qwen2.5-14B", **_QWEN),
    "qwen2.5-32b": llama((5120, 64, 40, 8, 27648, 152064), 32_763_876_352, "Qwen/Qwen2.5-32B", **_QWEN),
    "qwen2.5-72b": llama((8192, 80, 64, 8, 29568, 152064), 72_706_203_648, "Qwen/Qwen2.5-72B", **_QWEN),
    "qwen3-0.6b": llama((1024, 28, 16, 8, 3072, 151936), 596_049_920, "Qwen/Qwen3-0.6B", **_QWEN3, **_TIED),
    "qwen3-1.7b": llama((2048, 28, 16, 8, 6144, 151936), 1_720_574_976, "Qwen/Qwen3-1.7B", **_QWEN3, **_TIED),
    "qwen3-4b": llama((2560, 36, 32, 8, 9728, 151936), 4_022_468_096, "Qwen/Qwen3-4B", **_QWEN3, **_TIED),
    "qwen3-8b": llama((4096, 36, 32, 8, 12288, 151936), 8_190_735_360, "Qwen/Qwen3-8B", **_QWEN3),
    "qwen3-14b": llama((5120, 40, 40, 8, 17408, 151936), 14_768_307_200, "Qwen/Qwen3-14B", **_QWEN3),
    "qwen3-32b": llama((5120, 64, 64, 8, 25600, 151936), 32_762_123_264, "Qwen/Qwen3-32B", **_QWEN3),
    "gemma-2b": llama((2048, 18, 8, 1, 16384, 256000), 2_506_172_416, "google/gemma-2b", **_GEMMA),
    "gemma-7b": llama((3072, 28, 16, 16, 24576, 256000), 8_537_680_896, "google/gemma-7b", **_GEMMA),
    "gemma-2-2b": llama((2304, 26, 8, 4, 9216, 256000), 2_614_341_888, "google/gemma-2-2b", **_GEMMA2),
    "gemma-2-9b": llama((3584, 42, 16, 8, 14336, 256000), 9_241_705_984, "google/gemma-2-9b", **_GEMMA2),
    "gemma-2-27b": llama(
        (4608, 46, 32, 16, 36864, 256000),
        27_227_128_320,
        "google/gemma-2-27b",
        **{**_GEMMA2, "head_dim": 128},
    ),
    "phi-3-mini": llama(
        (3072, 32, 32, 32, 8192, 32064), 3_821_079_552, "microsoft/Phi-3-mini-4k-instruct", **_PHI3
    ),
    "phi-3-medium": llama(
        (5120, 40, 40, 10, 17920, 32064), 13_960_238_080, "microsoft/Phi-3-medium-4k-instruct", **_PHI3
    ),
    "phi-4": llama((5120, 40, 40, 10, 17920, 100352), 14_659_507_200, "microsoft/phi-4", **_PHI3),
    "deepseek-v3": llama(
        (7168, 61, 128, 128, 18432, 129280),
        671_026_404_352,
        "deepseek-ai/DeepSeek-V3, without its second-token layer, and the routing biases that no gradient trains",
        **_DEEPSEEK,
    ),
    "smollm2-135m": llama((576, 30, 9, 3, 1536, 49152), 134_515_008, "HuggingFaceTB/SmolLM2-135M", **_TIED),
    "smollm2-360m": llama((960, 32, 15, 5, 2560, 49152), 361_821_120, "HuggingFaceTB/SmolLM2-360M", **_TIED),
    "smollm2-1.7b": llama(
        (2048, 24, 32, 32, 8192, 49152), 1_711_376_384, "HuggingFaceTB/SmolLM2-1.7B", **_TIED
    ),
    "phi-1.5": phi(2048, 24, 32, 1_418_270_720, "microsoft/phi-1_5"),
    "phi-2": phi(2560, 32, 32, 2_779_683_840, "microsoft/phi-2"),
    "pythia-14m": neox((128, 6, 4, 50304), 14_067_712, "EleutherAI/pythia-14m"),
    "pythia-31m": neox((256, 6, 8, 50304), 30_494_720, "EleutherAI/pythia-31m"),
    "pythia-70m": neox((512, 6, 8, 50304), 70_426_624, "EleutherAI/pythia-70m"),
    "pythia-160m": neox((768, 12, 12, 50304), 162_322_944, "EleutherAI/pythia-160m"),
    "pythia-410m": neox((1024, 24, 16, 50304), 405_334_016, "EleutherAI/pythia-410m"),
    "pythia-1b": neox((2048, 16, 8, 50304), 1_011_781_632, "EleutherAI/pythia-1b"),
    "pythia-1.4b": neox((2048, 24, 16, 50304), 1_414_647_808, "EleutherAI/pythia-1.4b"),
    "pythia-2.8b": neox((2560, 32, 32, 50304), 2_775_208_960, "EleutherAI/pythia-2.8b"),
    "pythia-6.9b": neox((4096, 32, 32, 50432), 6_857_302_016, "EleutherAI/pythia-6.9b"),
    "pythia-12b": neox((5120, 36, 40, 50688), 11_846_072_320, "EleutherAI/pythia-12b"),
    "gpt-neox-20b": neox((6144, 44, 64, 50432), 20_554_567_680, "EleutherAI/gpt-neox-20b"),
    "olmoe-1b-7b": llama(
        (2048, 16, 16, 16, 1024, 50304), 6_919_161_856, "allenai/OLMoE-1B-7B-0924", **_OLMOE
    ),
    "qwen1.5-moe-a2.7b": llama(
        (2048, 24, 16, 16, 5632, 151936), 14_315_784_192, "Qwen/Qwen1.5-MoE-A2.7B", **_QWEN_MOE
    ),
    "qwen3-30b-a3b": llama(
        (2048, 48, 32, 4, 6144, 151936),
        30_532_122_624,
        "Qwen/Qwen3-30B-A3B",
        **_QWEN3_MOE,
        moe_intermediate_size=768,
    ),
    "qwen3-235b-a22b": llama(
        (4096, 94, 64, 4, 12288, 151936),
        235_093_634_560,
        "Qwen/Qwen3-235B-A22B",
        **_QWEN3_MOE,
        moe_intermediate_size=1536,
    ),
    "gemma-3-1b": llama((1152, 26, 4, 1, 6912, 262144), 999_885_952, "google/gemma-3-1b-pt", **_GEMMA3),
    "bart-base": bart(768, 6, 12, 139_420_416, "facebook/bart-base"),
    "bart-large": bart(1024, 12, 16, 406_291_456, "facebook/bart-large"),
    "vit-b-16": vit(768, 12, 12, 86_567_656),
    "vit-l-16": vit(1024, 24, 16, 304_326_632),
    "resnet-18": resnet(18, 11_689_512),
    "resnet-34": resnet(34, 21_797_672),
    "resnet-50": resnet(50, 25_557_032),
    "resnet-101": resnet(101, 44_549_160),
    "resnet-152": resnet(152, 60_192_808),
}
"""Every model a recipe may name."""
