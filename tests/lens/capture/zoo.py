"""Small models of Hugging Face with random weights, and what to give them."""

from collections.abc import Callable
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

TEXT = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
DECODER = {**TEXT, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0, "eos_token_id": None}
BART = {
    "vocab_size": 97,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 37,
    "pad_token_id": 0,
    "eos_token_id": 2,
    "forced_eos_token_id": None,
    "decoder_start_token_id": 1,
}
VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "image_size": 12,
    "patch_size": 4,
}


def ids(batch: int = 2, length: int = 11) -> Tensor:
    return torch.randint(5, 90, (batch, length))


def text(*, left: bool = False) -> dict[str, Tensor]:
    """Two sentences, the second padded."""
    mask = torch.ones(2, 11, dtype=torch.int64)
    mask[1, : 4 if left else None] = 0 if left else 1
    mask[1, None if left else 7 :] = mask[1, None if left else 7 :] if left else 0
    return {"input_ids": ids(), "attention_mask": mask}


def both() -> dict[str, Tensor]:
    return {**text(), "decoder_input_ids": ids(2, 5)}


def image() -> dict[str, Tensor]:
    return {"pixel_values": torch.randn(2, 3, 12, 12)}


def spoken() -> dict[str, Tensor]:
    return {"input_features": torch.randn(2, 8, 26), "decoder_input_ids": ids(2, 5)}


def looked_at() -> dict[str, Tensor]:
    """Text with an image of 4 by 4 patches, which are merged two by two, in each row."""
    tokens = ids(2, 9)
    tokens[:, 2:6] = 91
    kinds = (tokens == 91).long()
    shape = {"image_grid_thw": torch.tensor([[1, 4, 4]] * 2), "mm_token_type_ids": kinds}
    return {"input_ids": tokens, "pixel_values": torch.randn(32, 3 * 2 * 4 * 4), **shape}


def qwen() -> nn.Module:
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "patch_size": 4, "mlp_ratio": 2}
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    written = {**DECODER, "rope_parameters": rope}
    names = {"image_token_id": 91, "video_token_id": 92, "vision_start_token_id": 93, "vision_end_token_id": 94}
    return hf.Qwen2VLForConditionalGeneration(hf.Qwen2VLConfig(text_config=written, vision_config=vision, **names))


def clip() -> nn.Module:
    words = {**TEXT, "max_position_embeddings": 20, "projection_dim": 16, "eos_token_id": 2}
    return hf.CLIPModel(hf.CLIPConfig(text_config=words, vision_config={**VISION, "projection_dim": 16}))


def whisper() -> nn.Module:
    sizes = {"num_mel_bins": 8, "max_source_positions": 13, "max_target_positions": 20}
    return hf.WhisperModel(hf.WhisperConfig(**BART, **sizes, bos_token_id=1))


def t5() -> nn.Module:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4, "vocab_size": 97}
    return hf.T5ForConditionalGeneration(hf.T5Config(**sizes, decoder_start_token_id=0, eos_token_id=1))


def gpt2() -> nn.Module:
    sizes = {"vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    return hf.GPT2LMHeadModel(hf.GPT2Config(**sizes, bos_token_id=1, eos_token_id=None, pad_token_id=0))


def oss() -> nn.Module:
    layers = ["sliding_attention", "full_attention"]
    experts = {
        "intermediate_size": 40,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "sliding_window": 4,
        "layer_types": layers,
    }
    return hf.GptOssForCausalLM(hf.GptOssConfig(**{**DECODER, **experts}))


def gemma() -> nn.Module:
    more = {"sliding_window": 4, "attn_logit_softcapping": 2.0, "query_pre_attn_scalar": 8}
    return hf.Gemma2ForCausalLM(hf.Gemma2Config(**DECODER, **more))


ZOO: dict[str, tuple[Callable[[], nn.Module], Callable[[], dict[str, Any]]]] = {
    "bert": (lambda: hf.BertModel(hf.BertConfig(**TEXT)), text),
    "roberta": (lambda: hf.RobertaModel(hf.RobertaConfig(**TEXT)), text),
    "gpt2": (gpt2, text),
    "llama": (lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**DECODER)), text),
    "mistral": (lambda: hf.MistralForCausalLM(hf.MistralConfig(**DECODER, sliding_window=4)), text),
    "gemma2": (gemma, text),
    "gpt-oss": (oss, text),
    "qwen2-vl": (qwen, looked_at),
    "t5": (t5, both),
    "bart": (lambda: hf.BartModel(hf.BartConfig(**BART)), both),
    "marian": (lambda: hf.MarianModel(hf.MarianConfig(**BART)), both),
    "vit": (lambda: hf.ViTModel(hf.ViTConfig(**VISION)), image),
    "clip": (clip, lambda: {**text(), **image()}),
    "whisper": (whisper, spoken),
}


def built(name: str, implementation: str | None = None) -> nn.Module:
    """A model of the zoo in evaluation, whose weights are large enough that heads look somewhere."""
    torch.manual_seed(0)
    model = ZOO[name][0]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(1.0 if name == "t5" else 4.0)  # T5 does not scale its scores
    if implementation is not None:
        model.set_attn_implementation(implementation)
    return model.eval()


def given(name: str) -> dict[str, Any]:
    torch.manual_seed(1)
    return ZOO[name][1]()
