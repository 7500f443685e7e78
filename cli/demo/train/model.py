"""GPT-2 on a dictionary of tensors with the names and shapes of Hugging Face's checkpoints."""

import json
import math
import struct

import torch
import torch.nn.functional as F


def initial(config, generator):
    """Random normal parameters; what writes into the stream is smaller, as in GPT-2 (Radford et al. 2019,
    section 2.3).

    Three things give learning a start, all of which training may undo. Position embeddings begin as sines and
    cosines (Vaswani et al. 2017, section 3.5), in which nearby positions are alike. In the first half of the
    layers each head's keys are its queries: it attends to what is alike, that is near or the same word. In
    the second half each head writes what it reads, W_O = 0.3 W_V^T: it copies, a little, wherever it attends.
    """
    d, layers = config["n_embd"], config["n_layer"]
    shapes = {"wte.weight": ((config["vocab_size"], d), 0.06)}
    for l in range(layers):
        h = f"h.{l}."
        inner = config.get("n_inner") or 4 * d
        shapes[h + "ln_1.weight"] = ((d,), None)
        shapes[h + "ln_1.bias"] = ((d,), 0)
        shapes[h + "attn.c_attn.weight"] = ((d, 3 * d), d**-0.5)
        shapes[h + "attn.c_attn.bias"] = ((3 * d,), 0)
        shapes[h + "attn.c_proj.weight"] = ((d, d), (2 * d * layers) ** -0.5)
        shapes[h + "attn.c_proj.bias"] = ((d,), 0)
        shapes[h + "ln_2.weight"] = ((d,), None)
        shapes[h + "ln_2.bias"] = ((d,), 0)
        shapes[h + "mlp.c_fc.weight"] = ((d, inner), d**-0.5)
        shapes[h + "mlp.c_fc.bias"] = ((inner,), 0)
        shapes[h + "mlp.c_proj.weight"] = ((inner, d), (2 * inner * layers) ** -0.5)
        shapes[h + "mlp.c_proj.bias"] = ((d,), 0)
    shapes["ln_f.weight"] = ((d,), None)
    shapes["ln_f.bias"] = ((d,), 0)
    out = {}
    for name, (shape, std) in shapes.items():
        out[name] = torch.ones(shape) if std is None else torch.randn(shape, generator=generator) * std
        if name == "wte.weight":
            angles = torch.arange(config["n_positions"])[:, None] / 100 ** (torch.arange(d // 2) / (d // 2))
            out["wpe.weight"] = 0.08 * torch.cat([angles.sin(), angles.cos()], 1)
    for l in range(layers):
        weight = out[f"h.{l}.attn.c_attn.weight"]  # queries, keys, values
        if l < layers / 2:
            weight[:, d : 2 * d] = weight[:, :d]
        else:
            out[f"h.{l}.attn.c_proj.weight"].copy_(0.3 * weight[:, 2 * d :].T)
    return out


def forward(p, config, tokens, keep=None):
    """Logits [batch, position, vocabulary] of tokens [batch, position].

    keep, a dictionary, is given what the evaluation looks at: every component's output, the streams, and each
    head's query, key and pattern."""
    d, heads, eps = config["n_embd"], config["n_head"], config["layer_norm_epsilon"]
    batch, length = tokens.shape
    masked = torch.ones(length, length, dtype=torch.bool).triu(1)

    def norm(x, name):
        return F.layer_norm(x, (d,), p[name + ".weight"], p[name + ".bias"], eps)

    def wrote(name, x):
        if keep is not None:
            keep[name] = x
        return x

    x = wrote("W_E", F.embedding(tokens, p["wte.weight"])) + wrote(
        "W_pos", p["wpe.weight"][:length].expand(batch, -1, -1)
    )
    for l in range(config["n_layer"]):
        h = f"h.{l}."
        wrote(f"stream{l}", x)
        qkv = torch.addmm(
            p[h + "attn.c_attn.bias"], norm(x, h + "ln_1").reshape(-1, d), p[h + "attn.c_attn.weight"]
        )
        q, k, v = qkv.view(batch, length, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-1, -2) / math.sqrt(d // heads)).masked_fill(masked, float("-inf"))
        pattern = scores.softmax(-1)
        z = pattern @ v  # [batch, head, position, d_head]
        if keep is not None:
            keep[f"q{l}"], keep[f"k{l}"], keep[f"pattern{l}"] = q, k, pattern
            rows = p[h + "attn.c_proj.weight"].view(heads, d // heads, d)
            for i in range(heads):
                keep[f"{l}.{i}"] = z[:, i] @ rows[i]
            keep[f"b_O{l}"] = p[h + "attn.c_proj.bias"].expand(batch, length, d)
        z = z.transpose(1, 2).reshape(-1, d)
        x = x + torch.addmm(p[h + "attn.c_proj.bias"], z, p[h + "attn.c_proj.weight"]).view(batch, length, d)
        m = torch.addmm(p[h + "mlp.c_fc.bias"], norm(x, h + "ln_2").reshape(-1, d), p[h + "mlp.c_fc.weight"])
        m = F.gelu(m, approximate="tanh")  # gelu_new
        x = x + wrote(
            f"MLP{l}",
            torch.addmm(p[h + "mlp.c_proj.bias"], m, p[h + "mlp.c_proj.weight"]).view(batch, length, d),
        )
    wrote("final", x)
    return norm(x, "ln_f") @ p["wte.weight"].T


def save(p, path):
    """Writes a safetensors file in F16. The same numbers give the same bytes."""
    header, data, begin = {}, [], 0
    for name, t in p.items():
        raw = t.detach().to(torch.float16).contiguous().numpy().tobytes()
        header[name] = {"dtype": "F16", "shape": list(t.shape), "data_offsets": [begin, begin + len(raw)]}
        data.append(raw)
        begin += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def load(path):
    """Reads what save wrote, in float32."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    out = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float16)
        out[name] = flat.view(entry["shape"]).float()
    return out
