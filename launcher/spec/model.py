"""The network, as a recipe describes it."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from launcher.spec.kinds import Below1, Count, NonNegativeInteger, Positive, Text

__all__ = ["Adapter", "Model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A small trained part beside a frozen model."""

    kind: Literal["lora"] = "lora"
    """Kind of adapter."""
    rank: Count = 16
    """Rank of the low-rank update."""
    targets: tuple[Text, ...] = ()
    """Modules that get one."""
    quantization: Literal["none", "int8", "nf4"] = "none"
    """How the frozen weights are stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Kind and dimensions of the network; names are Hugging Face's."""

    kind: Literal[
        "decoder",
        "encoder",
        "encoder-decoder",
        "moe",
        "rnn",
        "lstm",
        "gru",
        "bag",
        "mlp",
        "vit",
        "resnet",
        "module",
    ] = "decoder"
    """Family of the network."""
    preset: Text | None = None
    """A model of the catalog, instead of dimensions."""
    config: Text | None = None
    """Path of a Hugging Face config.json, instead of dimensions."""
    module: Annotated[str, "function"] | None = None
    """`package.file:function`, called with the sizes it takes by name; returns a module and a sample batch."""
    family: Text | None = None
    """Hugging Face `model_type` whose layers these are (`llama`); from norm, gate and positions when absent."""
    num_layers: Count | None = None
    """Depth; when absent hidden_size / 64, or hidden layers: 1 for rnn, lstm, gru and mlp, 0 for bag."""
    num_encoder_layers: Count | None = None
    """Depth of the encoder of an encoder-decoder; num_layers when absent."""
    num_attention_heads: Count | None = None
    """Attention heads; hidden_size / 64 when absent."""
    num_key_value_heads: Count | None = None
    """Key and value heads; num_attention_heads when absent."""
    head_dim: Count | None = None
    """Width of a head; hidden_size / num_attention_heads when absent."""
    intermediate_size: Count | None = None
    """Width of the feed-forward layer; 4 x hidden_size when absent."""
    vocab_size: Count = 50257
    """Entries of the vocabulary."""
    gated_mlp: bool = False
    """Whether the feed-forward layer is gated (SwiGLU, GeGLU)."""
    activation: Literal["silu", "gelu", "gelu_new", "relu", "tanh"] = "gelu"
    """Activation function."""
    norm: Literal["rmsnorm", "layernorm", "batchnorm", "groupnorm", "none"] = "layernorm"
    """Normalisation layer, of mlp and bag too; a ResNet has batchnorm unless groupnorm is written, an RNN none."""
    position: Literal["rotary", "learned", "none"] = "learned"
    """Position encoding."""
    max_position_embeddings: Count | None = None
    """Rows of a table of learned positions; the longest sequence_length when absent."""
    bias: bool | None = None
    """Whether linear layers have biases; as the family has them when absent."""
    tie_word_embeddings: bool = True
    """Whether input and output embeddings are one tensor; of a recurrent model where their shapes agree."""
    dropout: Below1 = 0.0
    """Dropout probability; of a recurrent model between its layers."""
    attention_dropout: Below1 | None = None
    """Dropout probability of attention's weights; dropout when absent."""
    num_experts: Count | None = None
    """Routed experts of a mixture."""
    num_experts_per_token: Count | None = None
    """Experts each token goes to."""
    moe_intermediate_size: Count | None = None
    """Width of one expert."""
    num_shared_experts: NonNegativeInteger = 0
    """Experts every token goes to."""
    first_dense_layers: NonNegativeInteger = 0
    """Leading layers without experts."""
    capacity_factor: Positive | None = None
    """Token slots per expert over an even share."""
    kv_latent_dim: Count | None = None
    """Width of the latent of multi-latent attention."""
    q_latent_dim: Count | None = None
    """Width of the latent that queries come from, in multi-latent attention."""
    rotary_dim: Count | None = None
    """Width of the rotary part of a head, beside head_dim, in multi-latent attention."""
    value_dim: Count | None = None
    """Width of a head's value; head_dim when absent."""
    sliding_window: Count | None = None
    """Tokens that attention looks back."""
    input_size: Count | None = None
    """Features of a row (mlp; hidden_size when absent) or a time step (recurrent; when absent, tokens are embedded)."""
    output_size: Count | None = None
    """Numbers for each row or step, with squared error (1 when absent); for tokens, classes of each (vocab_size)."""
    bidirectional: bool = False
    """Whether a recurrent model runs both ways."""
    projection_size: Count | None = None
    """Width of an LSTM's projection."""
    carry_state: bool = False
    """Whether state is carried from one step to the next."""
    truncate_steps: Count | None = None
    """Time steps of truncated backpropagation; the whole sequence when absent."""
    image_size: Count | None = None
    """Height and width of an image, in pixels; 224 when absent."""
    patch_size: Count | None = None
    """Height and width of a patch, in pixels; 16 when absent."""
    depth: Literal[18, 34, 50, 101, 152] | None = None
    """Depth of a residual network; 50 when absent."""
    num_classes: Count | None = None
    """Classes of a classifier, of whole sequences where the model is recurrent; for images 1000 when absent."""
    adapter: Adapter | None = None
    """Adapter training."""
    frozen: tuple[Text, ...] = ()
    """Modules that are not trained."""
    implementation: Literal["auto", "transformers", "torch", "megatron", "fused", "compiled"] = "auto"
    """Whose kernels run; decides what is kept for the backward pass."""
    batch_coupled: tuple[Text, ...] = field(default=())
    """What sees the micro-batch: batch_norm, sync_batch_norm, contrastive, moe_auxiliary, moe_capacity, or another."""
