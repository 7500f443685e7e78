"""Stores a small Hugging Face checkpoint as a GGUF, in float32, with the gguf library of PyPI: togguf.py FOLDER FILE.

What llama.cpp expects of each architecture is done here by hand: names from the library's own table, q and k of some permuted, Gemma's
gains with their 1, fused tensors in one order. The tokenizer is left out.
"""
import json, math, struct, sys
import numpy as np
import gguf

folder, out = sys.argv[1:]
with open(folder + "/config.json") as f:
    cfg = json.load(f)
with open(folder + "/model.safetensors", "rb") as f:
    size = struct.unpack("<Q", f.read(8))[0]
    header = json.loads(f.read(size))
    data = f.read()


def tensor(entry):
    raw = data[entry["data_offsets"][0]:entry["data_offsets"][1]]
    if entry["dtype"] == "BF16":
        bits = np.frombuffer(raw, np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32).reshape(entry["shape"])
    kind = {"F32": np.float32, "F16": np.float16}[entry["dtype"]]
    return np.frombuffer(raw, kind).astype(np.float32).reshape(entry["shape"])


weights = {k: tensor(v) for k, v in header.items() if k != "__metadata__"}
kind = cfg["model_type"]
arch = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma": "gemma", "gemma2": "gemma2", "gemma3_text": "gemma3",
        "smollm3": "smollm3", "olmo": "olmo", "olmo2": "olmo2", "olmo3": "olmo2", "phi": "phi2", "phi3": "phi3", "gpt2": "gpt2", "gpt_oss": "gpt-oss"}[kind]
get = lambda *keys: next(cfg[k] for k in keys if cfg.get(k) is not None)
layers, width, heads = get("num_hidden_layers", "n_layer"), get("hidden_size", "n_embd"), get("num_attention_heads", "n_head")
kv = cfg.get("num_key_value_heads") or heads
head = cfg.get("head_dim") or width // heads

w = gguf.GGUFWriter(out, arch)
w.add_context_length(get("max_position_embeddings", "n_positions"))
w.add_embedding_length(width)
w.add_block_count(layers)
w.add_feed_forward_length(get("intermediate_size", "n_inner"))
w.add_head_count(heads)
w.add_head_count_kv(kv)
if head != width // heads:
    w.add_key_length(head)
    w.add_value_length(head)
if "rms_norm_eps" in cfg:
    w.add_layer_norm_rms_eps(cfg["rms_norm_eps"])
else:
    w.add_layer_norm_eps(cfg.get("layer_norm_epsilon", cfg.get("layer_norm_eps", 1e-5)))

rope = cfg.get("rope_parameters") or dict(cfg.get("rope_scaling") or {}, rope_theta=cfg.get("rope_theta", 10000.0))
rope = rope.get("full_attention", rope)
part = rope.get("partial_rotary_factor", cfg.get("partial_rotary_factor", 1.0))
if kind != "gpt2":
    w.add_rope_freq_base(rope["rope_theta"])
    w.add_rope_dimension_count(int(head * part))
scaling = rope.get("rope_type", rope.get("type", "default"))
original = rope.get("original_max_position_embeddings", cfg.get("original_max_position_embeddings"))
if scaling in ("linear", "yarn"):
    w.add_rope_scaling_type(gguf.RopeScalingType(scaling))
    w.add_rope_scaling_factor(rope["factor"])
if scaling == "yarn":
    w.add_rope_scaling_orig_ctx_len(original)
    if "attention_factor" in rope:
        w.add_rope_scaling_attn_factors(rope["attention_factor"] / (0.1 * math.log(rope["factor"]) + 1))
if scaling == "longrope":
    w.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
    w.add_rope_scaling_orig_ctx_len(original)
    w.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(cfg["max_position_embeddings"] / original) / math.log(original)))
    for name, key in (("long", "long_factor"), ("short", "short_factor")):
        w.add_tensor("rope_factors_%s.weight" % name, np.array(rope[key], np.float32))
if scaling == "llama3":
    freq = rope["rope_theta"] ** (-np.arange(0, head, 2) / head)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    keep = np.clip((original * freq / (2 * np.pi) - low) / (high - low), 0, 1)
    w.add_tensor("rope_freqs.weight", (1 / ((1 - keep) / rope["factor"] + keep)).astype(np.float32))
if cfg.get("sliding_window") and kind in ("gemma2", "gemma3_text", "olmo3", "phi3", "gpt_oss"):
    w.add_sliding_window(cfg["sliding_window"])
for key, add in (("attn_logit_softcapping", w.add_attn_logit_softcapping), ("final_logit_softcapping", w.add_final_logit_softcapping)):
    if cfg.get(key):
        add(cfg[key])
if kind == "gpt_oss":
    w.add_expert_count(cfg["num_local_experts"])
    w.add_expert_used_count(cfg["num_experts_per_tok"])
    w.add_expert_feed_forward_length(cfg["intermediate_size"])

table = gguf.get_tensor_name_map(next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == arch), layers)


def permute(x, n):
    return x.reshape(n, 2, x.shape[0] // n // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def put(name, x):
    new = table.get_name(name, try_suffixes=(".weight", ".bias"))
    if new is None:
        raise SystemExit("no name for " + name)
    w.add_tensor(new, np.ascontiguousarray(x))


for name, x in weights.items():
    if arch in ("llama", "smollm3", "olmo") and (".q_proj." in name or ".k_proj." in name):
        x = permute(x, heads if ".q_proj." in name else kv)
    if kind.startswith("gemma") and name.endswith("norm.weight"):
        x = x + 1
    if kind == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        x = x.T
    if ".experts.gate_up_proj" in name:
        base = name.split(".mlp.")[0].replace("model.layers.", "blk.")
        end = ".bias" if name.endswith("_bias") else ".weight"
        for i, half in enumerate(("gate", "up")):
            y = x[..., i::2]
            w.add_tensor(f"{base}.ffn_{half}_exps{end}", np.ascontiguousarray(y if end == ".bias" else y.swapaxes(1, 2)))
    elif ".experts.down_proj" in name:
        base = name.split(".mlp.")[0].replace("model.layers.", "blk.")
        end = ".bias" if name.endswith("_bias") else ".weight"
        w.add_tensor(f"{base}.ffn_down_exps{end}", np.ascontiguousarray(x if end == ".bias" else x.swapaxes(1, 2)))
    elif name.endswith(".sinks"):
        w.add_tensor(name.replace("model.layers.", "blk.").replace("self_attn.sinks", "attn_sinks.weight"), x)
    else:
        put(name, x)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
