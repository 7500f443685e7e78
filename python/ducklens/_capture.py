"""Runs a model in Python and writes a folder of activations for ducklens ingest --activations.

The folder holds what each component wrote; ducklens computes everything else from it. docs/activations.md of
ducklens describes the folder."""

import hashlib
import json
import os
import re
import sys

from ._program import needs

FORMAT, VERSION = "ducklens activations", 2


class _Enough(Exception):
    """Ends a forward pass after the queries and keys of the last layer that is needed."""


class _Family:
    """The names of a family's modules. Those of the parts of a layer are relative to the layer."""

    def __init__(
        self,
        layers,
        embed,
        norm,
        attention,
        output,
        mlp="mlp",
        position=None,
        split="separate",
        post_attention=None,
        post_mlp=None,
        gain_plus=0.0,
        rotary=True,
        rotary_pairs=False,
        names=("q_proj", "k_proj", "v_proj"),
    ):
        self.layers, self.embed, self.norm, self.attention, self.output, self.mlp = (
            layers,
            embed,
            norm,
            attention,
            output,
            mlp,
        )
        self.position, self.split, self.post_attention, self.post_mlp = (
            position,
            split,
            post_attention,
            post_mlp,
        )
        self.gain_plus, self.rotary, self.rotary_pairs, self.names = gain_plus, rotary, rotary_pairs, names


def _llama(**others):
    return _Family(
        **{
            **dict(
                layers="model.layers",
                embed="model.embed_tokens",
                norm="input_layernorm",
                attention="self_attn",
                output="o_proj",
            ),
            **others,
        }
    )


_POST = dict(norm=None, post_attention="post_attention_layernorm", post_mlp="post_feedforward_layernorm")

FAMILIES = {
    "gpt2": _Family(
        "transformer.h",
        "transformer.wte",
        "ln_1",
        "attn",
        "c_proj",
        position="transformer.wpe",
        split="conv1d",
        rotary=False,
    ),
    "gptj": _Family("transformer.h", "transformer.wte", "ln_1", "attn", "out_proj", rotary_pairs=True),
    "gpt_neox": _Family(
        "gpt_neox.layers", "gpt_neox.embed_in", "input_layernorm", "attention", "dense", split="neox"
    ),
    "opt": _Family(
        "model.decoder.layers",
        "model.decoder.embed_tokens",
        "self_attn_layer_norm",
        "self_attn",
        "out_proj",
        mlp="fc2",
        position="model.decoder.embed_positions",
        rotary=False,
    ),
    "falcon": _Family(
        "transformer.h",
        "transformer.word_embeddings",
        "input_layernorm",
        "self_attention",
        "dense",
        split="falcon",
    ),
    "phi": _llama(output="dense"),
    "phi3": _llama(split="phi3"),
    "llama": _llama(),
    "mistral": _llama(),
    "smollm3": _llama(),
    "qwen2": _llama(),
    "qwen3": _llama(),
    "gpt_oss": _llama(),
    "olmo": _llama(),
    "olmo2": _llama(**_POST),
    "olmo3": _llama(**_POST),
    "gemma": _llama(gain_plus=1.0),
    "gemma2": _llama(
        gain_plus=1.0, post_attention="post_attention_layernorm", post_mlp="post_feedforward_layernorm"
    ),
    "gemma3_text": _llama(
        gain_plus=1.0, post_attention="post_attention_layernorm", post_mlp="post_feedforward_layernorm"
    ),
}


def capture(
    model,
    prompts,
    heads,
    out,
    tokenizer=None,
    *,
    positions="edges",
    form="vectors",
    batch_size=8,
    processing="processed",
    bos=None,
    name=None,
    shard_prompts=64,
    progress=None,
):
    """Runs a model over prompts and writes a folder for `ducklens.ingest(activations=out)`.

    model: a causal language model of transformers, on any device, of a family in ducklens.FAMILIES, or a
    TransformerBridge of TransformerLens. A TransformerBridge of another family, or in compatibility mode, is
    captured through its hooks in float32 or float64, and refused if the hooks do not explain its stream and
    its attention.
    prompts: a list of dicts or a DataFrame, with text (or tokens, a list of ids), query, key and, optionally,
    baseline. Each position is a token index, BOS included, or a word that is one token. For several edges, a
    prompt has edges instead: a list of dicts with query, key and baseline. Other fields are stored with the
    prompt.
    heads: target heads, such as ["10.7"]; the model runs up to the last of them.
    out: the folder to make. Prompts are written in shards of shard_prompts, so memory does not grow with
    their number.
    tokenizer: required if prompts have text.
    bos: whether to begin texts with the BOS token; None is the tokenizer's default, and True for GPT-2.
    positions: "edges" keeps the positions in edges. "all" keeps every position, and prompts need no edges:
    `ducklens.ingest(activations=out, edges="top:1")` then chooses them by rules.
    form: "vectors" stores the output of each head; "parts" stores its weighted values, and W_O of each layer
    once. The tables are the same, and a prompt of a large model takes a twentieth of the space.
    processing: "processed" folds value biases into b_O and centres where LayerNorm centres, as ducklens does
    by default; "raw" keeps the weights as stored.

    Components are in float32 (float64 for a model in float64). A model in bfloat16 or float16 rounds its
    stream after every layer. The rounding errors are stored as components, rounding0, rounding1 and so on,
    and queries, keys and scores of the target heads are recomputed in float32 from the model's stream."""
    torch = needs("torch", "ducklens.capture")
    needs("safetensors", "ducklens.capture")
    for value, of, what in ((positions, ("edges", "all"), "positions"), (form, ("vectors", "parts"), "form")):
        if value not in of:
            raise ValueError(f'{what} is {value!r}, want "{of[0]}" or "{of[1]}"')
    how = _Capture
    if hasattr(model, "original_model") and (
        getattr(model, "compatibility_mode", False)
        or getattr(model.original_model.config, "model_type", None) not in FAMILIES
    ):
        from ._bridge import Bridge as how  # through its hooks, not through the model that it wraps
    return how(torch, model, tokenizer, processing, bos, name, positions == "all", form == "parts").write(
        prompts, heads, out, batch_size, shard_prompts, progress
    )


def _at(module, path):
    for part in path.split("."):
        module = getattr(module, part)
    return module


def _first(*values):
    return next((v for v in values if v is not None), None)


class _Capture:
    def __init__(self, torch, model, tokenizer, processing, bos, name, whole=False, parts=False):
        self.whole, self.parts = whole, parts
        self.torch, self.model, self.tokenizer = (
            torch,
            _plain(torch, model),
            tokenizer or getattr(model, "tokenizer", None),
        )
        if processing not in ("processed", "raw"):
            raise ValueError(f'processing is {processing!r}, want "processed" or "raw"')
        self.raw = processing == "raw"
        self.config = c = self.model.config
        kind = getattr(c, "model_type", None)
        if kind not in FAMILIES:
            raise ValueError(
                f"a model of type {kind!r} cannot be captured, only {', '.join(FAMILIES)}: write the folder "
                "yourself, as docs/activations.md says"
            )
        self.kind, self.family = kind, FAMILIES[kind]
        self.bos = bos
        self.layers = _at(self.model, self.family.layers)
        get = lambda *names: _first(*(getattr(c, n, None) for n in names))
        self.L, self.H, self.d = (
            len(self.layers),
            get("num_attention_heads", "n_head"),
            get("hidden_size", "n_embd"),
        )
        self.dh = getattr(c, "head_dim", None) or self.d // self.H
        self.KV = _first(getattr(c, "num_key_value_heads", None), self.H)
        if kind == "falcon":
            self.KV = c.num_kv_heads if c.new_decoder_architecture else 1 if c.multi_query else self.H
        self.refuse(c)
        if self.H % self.KV:
            raise ValueError(f"{self.H} heads and {self.KV} key-value heads")
        weight = _at(self.model, self.family.embed).weight
        self.low = weight.dtype in (torch.bfloat16, torch.float16)
        self.dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
        self.name = name or os.path.basename(str(getattr(c, "_name_or_path", "") or kind).rstrip("/")) or kind
        self.d_mlp = get("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size") or 4 * self.d
        self.n_ctx = get("max_position_embeddings", "n_positions")
        act = get("hidden_activation", "hidden_act", "activation_function", "activation")
        self.activation = _ACTIVATIONS.get(act, act)
        norm = self.norm(0)
        self.norm_kind = "none" if norm is None else "LN" if "LayerNorm" in type(norm).__name__ else "RMS"
        self.eps = _epsilon(norm if norm is not None else self.part(0, self.family.post_attention))
        self.post = self.family.post_attention is not None
        self.sinks = getattr(self.attention(0), "sinks", None) is not None
        self.qk_norm, self.qk_eps = "", 0.0
        q_norm = getattr(self.attention(0), "q_norm", None)
        if q_norm is not None:
            self.qk_norm, self.qk_eps = (
                ("per_head" if q_norm.weight.numel() == self.dh else "full_width"),
                _epsilon(q_norm),
            )
        biases = self.projections(0)[1]
        self.qk_bias = biases is not None or norm is not None and getattr(norm, "bias", None) is not None
        self.o_bias = getattr(self.output(0), "bias", None) is not None
        self.has_bias = self.o_bias or not self.raw and not self.sinks and self.qk_bias
        self.centred = not self.raw and self.norm_kind == "LN" and not self.post
        self.scale = self.dh**0.5
        if kind == "gpt2" and not c.scale_attn_weights:
            self.scale = 1.0
        if kind in ("gemma2", "gemma3_text"):
            self.scale = c.query_pre_attn_scalar**0.5
        self.by_layer = bool(getattr(c, "scale_attn_by_inverse_layer_idx", False))
        self.soft_cap = getattr(c, "attn_logit_softcapping", None) or 0.0

    def refuse(self, c):
        for wrong, what in [
            (
                self.kind == "opt" and (not c.do_layer_norm_before or c.word_embed_proj_dim != c.hidden_size),
                "norms after the blocks, or embeddings of another width",
            ),
            (self.kind == "falcon" and c.alibi, "ALiBi"),
            (self.kind == "falcon" and not c.parallel_attn, "serial blocks"),
            (getattr(c, "clip_qkv", None) is not None, "clip_qkv"),
            (getattr(c, "qk_layernorm", False), "qk_layernorm"),
            (getattr(c, "add_cross_attention", False), "cross attention"),
        ]:
            if wrong:
                raise ValueError(f"this {self.kind} has {what}, and such a model cannot be captured")

    # Parts of layers.

    def part(self, layer, path):
        return None if path is None else _at(self.layers[layer], path)

    def norm(self, layer):
        if self.kind == "falcon" and hasattr(self.layers[layer], "ln_attn"):
            return self.layers[layer].ln_attn
        return self.part(layer, self.family.norm)

    def attention(self, layer):
        return self.part(layer, self.family.attention)

    def output(self, layer):
        return getattr(self.attention(layer), self.family.output)

    def wide(self, t):
        return t.detach().to(self.dtype)

    def gain(self, norm):
        """The gain of a norm, and its shift; None for one that is missing."""
        weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
        return (None if weight is None else self.wide(weight) + self.family.gain_plus), (
            None if bias is None else self.wide(bias)
        )

    def projections(self, layer):
        """W_Q, W_K, W_V [d_model, heads, d_head] and their biases [heads, d_head], or None."""
        a, d, dh, H, KV = self.attention(layer), self.d, self.dh, self.H, self.KV
        split = self.family.split
        if split == "separate":
            modules = [getattr(a, n) for n in self.family.names]
            w = [self.wide(m.weight).T.reshape(d, -1, dh) for m in modules]
            b = None if modules[0].bias is None else [self.wide(m.bias).reshape(-1, dh) for m in modules]
            return w, b
        fused = {
            "conv1d": "c_attn",
            "neox": "query_key_value",
            "falcon": "query_key_value",
            "phi3": "qkv_proj",
        }[split]
        module = getattr(a, fused)
        weight = self.wide(module.weight) if split == "conv1d" else self.wide(module.weight).T
        bias = None if module.bias is None else self.wide(module.bias)[None]

        def cut(x):  # [rows, outputs]
            rows = x.shape[0]
            if split == "conv1d":
                return list(x.reshape(rows, 3, H, dh).unbind(1))
            if split == "neox":
                return list(x.reshape(rows, H, 3, dh).unbind(2))
            x = x.reshape(rows, -1, dh)
            if split == "falcon" and self.config.new_decoder_architecture:
                x = x.reshape(rows, KV, H // KV + 2, dh)
                return [x[:, :, :-2].reshape(rows, H, dh), x[:, :, -2], x[:, :, -1]]
            if split == "falcon" and not self.config.multi_query:
                return list(x.reshape(rows, H, 3, dh).unbind(2))
            return [x[:, :H], x[:, H : H + KV], x[:, H + KV :]]

        return cut(weight), None if bias is None else [b[0] for b in cut(bias)]

    def writing(self, layer):
        """W_O [heads, d_head, d_model], and b_O [d_model] or None."""
        module = self.output(layer)
        w = self.wide(module.weight)
        if self.family.split != "conv1d":
            w = w.T
        return w.reshape(self.H, self.dh, self.d), None if module.bias is None else self.wide(module.bias)

    def value_biases(self, layer):
        """What value biases, and the norm's shift through W_V, add to the weighted values of each head
        [heads, d_head].

        None if there are neither, or if they stay in the heads."""
        w, b = self.projections(layer)
        norm = self.norm(layer)
        shift = None if norm is None else self.gain(norm)[1]
        if self.sinks or b is None and shift is None:
            return None
        v = 0 if b is None else b[2]
        if shift is not None:
            v = v + self.torch.einsum("d,dhe->he", shift, w[2])
        return v.repeat_interleave(self.H // self.KV, 0)

    def centre(self, x):
        """x minus its mean, if the weights are processed and the norm centres; otherwise x."""
        return x - x.mean(-1, keepdim=True) if self.centred else x

    # The folder.

    def write(self, prompts, heads, out, batch_size, shard_prompts, progress):
        self.heads = [
            _head(h, self.L, self.H) for h in ([heads] if isinstance(heads, (str, tuple)) else heads)
        ]
        if not self.heads:
            raise ValueError("no heads to capture")
        self.targets = sorted({l for l, _ in self.heads})
        self.stop = self.targets[-1]
        if os.path.exists(out) and os.listdir(out):
            raise FileExistsError(f"{out} is there and is not empty")
        os.makedirs(out, exist_ok=True)
        self.lines = lines = [self.prompt(i, p) for i, p in enumerate(_records(prompts))]
        if not lines:
            raise ValueError("no prompts to capture")
        shards, self.windows = [], [0] * self.L
        self.prepare()
        with open(os.path.join(out, "prompts.jsonl"), "w", encoding="utf-8", newline="\n") as f:
            for line in lines:
                f.write(json.dumps(line, ensure_ascii=False) + "\n")
        for first in range(0, len(lines), shard_prompts):
            part, tensors = lines[first : first + shard_prompts], {}
            for batch in _batches(part, batch_size):
                tensors.update(self.run(first, part, batch))
                if progress:
                    progress(min(first + shard_prompts, len(lines)), len(lines))
            file = f"shard-{len(shards):05d}.safetensors"
            self.save(os.path.join(out, file), tensors)
            shards.append({"file": file, "sha256": _sum(os.path.join(out, file)), "prompts": len(part)})
        self.save(os.path.join(out, "weights.safetensors"), self.weights(lines))
        run = self.describe(lines)
        for key, file in (("prompts", "prompts.jsonl"), ("weights", "weights.safetensors")):
            run[key] = {"file": file, "sha256": _sum(os.path.join(out, file))}
        run["shards"] = shards
        with open(
            os.path.join(out, "run.json"), "w", encoding="utf-8", newline="\n"
        ) as f:  # last: without it there is no folder
            json.dump(run, f, ensure_ascii=False, indent=1)
        return out

    def save(self, path, tensors):
        from safetensors.torch import save_file

        save_file({k: v.detach().to("cpu").contiguous().clone() for k, v in tensors.items()}, path)

    def prompt(self, number, record):
        """A line of the file of prompts."""
        record = dict(record)
        text, ids = record.pop("text", None), record.pop("tokens", None)
        if ids is None:
            if text is None or self.tokenizer is None:
                raise ValueError(f"prompt {number}: want text and a tokenizer, or tokens")
            ids = list(self.tokenizer(text).input_ids)
            first = self.tokenizer.bos_token_id
            bos = self.bos if self.bos is not None else (True if self.kind == "gpt2" else None)
            if self.kind == "gpt2" and first is None:
                first = self.tokenizer.eos_token_id
            if bos is True and ids[:1] != [first]:
                ids = [first] + ids
            if bos is False and ids[:1] == [first]:
                ids = ids[1:]
        ids = [int(i) for i in ids]
        texts = self.texts(ids)
        line = {"text": "".join(texts) if text is None else text, "tokens": ids, "token_texts": texts}
        if self.whole:
            line["whole"] = True
        edges = self.edges(number, record, texts)
        if edges:
            line["edges"] = edges
        elif not self.whole:
            raise ValueError(
                f'prompt {number} has no query and no edges: positions="all" keeps prompts without'
            )
        record = {k: v for k, v in record.items() if v is not None and v == v}
        if record:
            line["fields"] = json.loads(
                json.dumps(record, default=lambda v: v.item() if hasattr(v, "item") else str(v))
            )
        return line

    def edges(self, number, record, texts):
        """The edges of a prompt, which are taken from its record."""
        given = record.pop("edges", None)
        own = {role: record.pop(role) for role in _ROLES if role in record}
        own = {
            role: at for role, at in own.items() if at is not None and at == at
        }  # a DataFrame has NaN for nothing
        if given is None or isinstance(given, float):
            given = [own] if own else []
        elif own:
            raise ValueError(f"prompt {number} has edges and {', '.join(own)}: want one of both")
        for role in _ROLES if own else ():
            near = None if role in own else _misspelt(role, record)
            if near is not None:
                raise ValueError(
                    f"prompt {number} has {near!r} and no {role}: write {role} if you mean that; a field of "
                    "your own needs a name less like it"
                )
        edges = []
        for edge in given:
            if set(edge) - set(_ROLES):
                raise ValueError(
                    f"prompt {number} has an edge of {', '.join(map(str, edge))}: want query, key and, if "
                    "you like, baseline"
                )
            made = {
                role: _position(number, role, edge[role], texts)
                for role in _ROLES
                if edge.get(role) is not None and edge[role] == edge[role]
            }
            for role in ("query", "key"):
                if role not in made:
                    raise ValueError(f"prompt {number} has no {role}")
            if made["key"] > made["query"] or made.get("baseline", 0) > made["query"]:
                raise ValueError(
                    f"prompt {number}: key {made['key']} or baseline {made.get('baseline')} after query "
                    f"{made['query']}"
                )
            edges.append(made)
        return edges

    def texts(self, ids):
        if self.tokenizer is None:
            return [f"<{i}>" for i in ids]
        anchor = ids[0]  # so that a leading space is kept, which decoders take from the first token
        lead = self.tokenizer.decode([anchor], clean_up_tokenization_spaces=False)
        texts = []
        for i in ids:
            both = self.tokenizer.decode([anchor, i], clean_up_tokenization_spaces=False)
            texts.append(both[len(lead) :] if both.startswith(lead) else self.tokenizer.decode([i]))
        return texts

    def describe(self, lines):
        c = self.config
        first = _first(
            getattr(self.tokenizer, "bos_token_id", None),
            getattr(c, "bos_token_id", None),
            getattr(c, "eos_token_id", None) if self.kind == "gpt2" else None,
        )
        components = [{"kind": "embed"}] + ([{"kind": "pos_embed"}] if self.family.position else [])
        for l in range(self.L):
            components += [{"kind": "head", "layer": l, "head": h} for h in range(self.H)]
            if self.has_bias:
                components.append({"kind": "attn_bias", "layer": l})
            components.append({"kind": "mlp", "layer": l})
            if self.low:
                components.append(
                    {
                        "kind": "error",
                        "layer": l,
                        "label": f"rounding{l}",
                        "source": str(_at(self.model, self.family.embed).weight.dtype),
                    }
                )
        attention = {
            "scale": self.scale,
            "scale_by_layer": self.by_layer,
            "soft_cap": self.soft_cap,
            "sinks": self.sinks,
        }
        if any(self.windows):
            attention["windows"] = self.windows
        if self.qk_norm:
            attention["qk_norm"], attention["qk_norm_eps"] = self.qk_norm, self.qk_eps
        if self.family.rotary:
            attention["rotary_dims"], attention["rotary_pairs"] = (
                [self.dims(l) for l in range(self.L)],
                self.family.rotary_pairs,
            )
        text = json.dumps(c.to_dict(), sort_keys=True, default=str)
        return {
            "format": FORMAT,
            "version": VERSION,
            "writer": f"ducklens.capture, {type(self.model).__name__}",
            "model": {
                "name": self.name,
                "family": self.kind,
                "sha256": self.digest(),
                "config_sha256": hashlib.sha256(text.encode()).hexdigest(),
                "n_layers": self.L,
                "n_heads": self.H,
                "n_kv_heads": self.KV,
                "d_model": self.d,
                "d_head": self.dh,
                "d_mlp": self.d_mlp,
                "d_vocab": self.vocabulary(),
                "n_ctx": self.n_ctx,
                "activation": self.activation,
            },
            "norm": {"kind": self.norm_kind, "eps": self.eps},
            "post_norm": self.post,
            "attention": attention,
            "qk_bias": self.qk_bias,
            "processing": "raw" if self.raw else "processed",
            "precision": str(self.dtype).removeprefix("torch."),
            "form": "parts" if self.parts else "vectors",
            "bos": first is not None and lines[0]["tokens"][0] == first,
            "components": components,
            "heads": [f"{l}.{h}" for l, h in self.heads],
        }

    def vocabulary(self):
        return _at(self.model, self.family.embed).weight.shape[0]

    def digest(self):
        """SHA-256 over the parameters, in the order of their names."""
        h = hashlib.sha256()
        for key, p in sorted(self.model.named_parameters()):
            h.update(f"{key} {p.dtype} {tuple(p.shape)}\n".encode())
            h.update(p.detach().contiguous().view(self.torch.uint8).cpu().numpy().data if p.numel() else b"")
        return h.hexdigest()

    def dims(self, layer):
        """How many dimensions of q and k a layer turns."""
        a = self.attention(layer)
        if not self.family.rotary or getattr(a, "use_rope", 1) == 0:
            return 0
        if self.kind == "gptj":
            return self.config.rotary_dim or self.dh
        if hasattr(a, "rotary_ndims"):
            return a.rotary_ndims
        rope = getattr(self.config, "rope_parameters", None) or {}
        part = rope.get("partial_rotary_factor") or getattr(self.config, "partial_rotary_factor", None) or 1.0
        return int(self.dh * part)

    def weights(self, lines):
        out = {}
        for l in self.targets:
            (wq, wk, _), b = self.projections(l)
            norm = self.norm(l)
            gain, shift = (None, None) if norm is None else self.gain(norm)
            if gain is not None:
                out[f"L{l}/norm_gain"] = gain
            if shift is not None:
                out[f"L{l}/norm_shift"] = shift
            if self.qk_norm == "full_width":
                out[f"L{l}/W_Q"], out[f"L{l}/W_K"] = wq.reshape(self.d, -1), wk.reshape(self.d, -1)
                if b is not None:
                    out[f"L{l}/b_Q"], out[f"L{l}/b_K"] = b[0].reshape(-1), b[1].reshape(-1)
            for h in [h for layer, h in self.heads if layer == l]:
                kv = h * self.KV // self.H
                at = f"L{l}H{h}/"
                out[at + "W_Q"], out[at + "W_K"] = wq[:, h], wk[:, kv]
                if b is not None:
                    out[at + "b_Q"], out[at + "b_K"] = b[0][h], b[1][kv]
                if self.qk_norm:
                    out[at + "q_gain"], out[at + "k_gain"] = self.qk_gain("q", l, h), self.qk_gain("k", l, kv)
                if self.sinks:
                    out[at + "sink"] = self.wide(self.attention(l).sinks)[h : h + 1]
        if self.parts:
            self.writers(out)
        table = self.unembedding()
        if table is not None:
            ids = sorted({line["tokens"][at] for line in lines for at in _keys(line)})
            out["unembed/tokens"] = self.torch.tensor(ids, dtype=self.torch.int64)
            out["unembed/rows"] = self.unembed(table, ids)
        return out

    def qk_gain(self, side, layer, head):
        """The gain of QK-norm of a head, or of a key-value head."""
        g = self.gain(getattr(self.attention(layer), side + "_norm"))[0]
        return g if self.qk_norm == "per_head" else g.reshape(-1, self.dh)[head]

    def unembedding(self):
        """W_U [vocabulary, d_model], or None."""
        head = self.model.get_output_embeddings()
        return None if head is None else head.weight.detach()

    def last_norm(self):
        """The gain of the last norm, or None, and whether it takes the mean away."""
        final = _at(
            self.model,
            {
                "gpt2": "transformer.ln_f",
                "gptj": "transformer.ln_f",
                "falcon": "transformer.ln_f",
                "gpt_neox": "gpt_neox.final_layer_norm",
                "opt": "model.decoder.final_layer_norm",
                "phi": "model.final_layernorm",
            }.get(self.kind, "model.norm"),
        )
        return (None, False) if final is None else (self.gain(final)[0], "LayerNorm" in type(final).__name__)

    def after(self, layer):
        """Of the norms after attention and after the MLP: the gain of the first, and the epsilons of both."""
        attention, mlp = self.part(layer, self.family.post_attention), self.part(layer, self.family.post_mlp)
        return self.gain(attention)[0], _epsilon(attention), _epsilon(mlp)

    def writers(self, out):
        """What attention writes by in the layers below the last target head."""
        for l, (b, _) in enumerate(self.biases):
            w = self.centre(self.writing(l)[0])
            exact = self.low and not self.centred  # it is as the model has it
            out[f"L{l}/W_O"] = w.to(self.output(l).weight.dtype) if exact else w
            if self.has_bias:
                out[f"L{l}/b_O"] = self.centre(b)
            if self.post:
                out[f"L{l}/post_gain"] = self.after(l)[0]

    def unembed(self, w, ids):
        rows = self.wide(w[ids])
        if self.raw:
            return rows
        gain, centre = self.last_norm()
        if not (getattr(self.config, "final_logit_softcapping", None) or 0):
            rows = rows - sum(self.wide(part).sum(0) for part in w.split(4096)) / w.shape[0]
        if gain is not None:
            rows = rows * gain
        if centre:
            rows = rows - rows.mean(-1, keepdim=True)
        return rows

    # The forward pass.

    def prepare(self):
        """Biases of every layer: b_O, and what is taken from the weighted values."""
        self.biases = []
        for l in range(self.stop):
            w, b = self.writing(l)
            values = None if self.raw else self.value_biases(l)
            if b is None and self.has_bias:
                b = self.torch.zeros(self.d, dtype=self.dtype, device=w.device)
            if values is not None:
                b = b.to(w.device) + self.torch.einsum("he,hed->d", values.to(w.device), w)
            self.biases.append((b, values))

    def run(self, first, lines, batch):
        """The tensors of prompts of one length."""
        torch = self.torch
        device = _at(self.model, self.family.embed).weight.device
        ids = torch.tensor([lines[i]["tokens"] for i in batch], device=device)
        kept = [_kept(lines[i]) for i in batch]
        most = max(len(k) for k in kept)
        self.seen = {}
        self.at = torch.tensor(
            [k + k[-1:] * (most - len(k)) for k in kept]
        )  # [prompt, place]; a prompt with fewer has its last one again
        hooks, restore = self.hook(), self.intercept()
        training = self.model.training
        try:
            self.model.eval()
            with torch.no_grad():
                self.model(input_ids=ids, use_cache=False)
            raise RuntimeError(f"the model did not come to the attention of layer {self.stop}")
        except _Enough:
            pass
        finally:
            for h in hooks:
                h.remove()
            restore()
            self.model.train(training)
        return self.tensors(first, batch, kept)

    def take(self, x):
        """The rows of the kept positions [prompt, place, ...] of an activation [prompt, position, ...]."""
        at = self.at.to(x.device)
        return x[self.torch.arange(x.shape[0], device=x.device)[:, None], at]

    def hook(self):
        hooks = []

        def keep(key, of=lambda x: x, rows=True):
            def hook(module, args, output):
                self.seen[key] = self.wide(self.take(of(output)) if rows else of(output))

            return hook

        def keep_input(key):
            def hook(module, args, kwargs):
                x = args[0] if args else kwargs["hidden_states"]
                self.seen[key] = self.wide(self.take(x))
                if self.low and key[0] == "stream" and key[1] in self.targets:
                    self.seen["whole", key[1]] = x.detach()

            return hook

        def first(x):
            x = x[0] if isinstance(x, tuple) else x
            return x.reshape(len(self.at), -1, self.d)  # OPT flattens all positions into one list here

        if self.family.position:
            hooks.append(_at(self.model, self.family.embed).register_forward_hook(keep("embed")))
            hooks.append(
                _at(self.model, self.family.position).register_forward_hook(
                    lambda m, a, o: self.seen.__setitem__(
                        "position", self.wide(self.take(o.expand(len(self.at), *o.shape[1:])))
                    )
                )
            )
        for l in range(self.stop + 1):
            hooks.append(
                self.layers[l].register_forward_pre_hook(keep_input(("stream", l)), with_kwargs=True)
            )
            if l in self.targets:
                hooks.append(self.attention(l).register_forward_pre_hook(self.keep_turn(l), with_kwargs=True))
                if self.qk_norm:
                    for side in ("q", "k"):
                        hooks.append(
                            getattr(self.attention(l), side + "_proj").register_forward_hook(
                                keep((side + "_proj", l))
                            )
                        )
            if l == self.stop:
                break
            hooks.append(self.output(l).register_forward_pre_hook(keep_input(("z", l)), with_kwargs=True))
            if self.post:
                hooks.append(
                    self.part(l, self.family.post_attention).register_forward_pre_hook(
                        keep_input(("attended", l)), with_kwargs=True
                    )
                )
                hooks.append(
                    self.part(l, self.family.post_mlp).register_forward_pre_hook(
                        keep_input(("mlp_out", l)), with_kwargs=True
                    )
                )
                hooks.append(self.part(l, self.family.post_mlp).register_forward_hook(keep(("mlp", l))))
            else:
                hooks.append(self.part(l, self.family.mlp).register_forward_hook(keep(("mlp", l), first)))
        return hooks

    def keep_turn(self, layer):
        def hook(module, args, kwargs):
            self.seen["call", layer] = (args, kwargs)
            both = kwargs.get("position_embeddings")
            dims = self.dims(layer)
            if both is None or dims == 0:
                return
            cos, sin = reversed(both) if self.kind == "gptj" else both
            for key, x in (("cos", cos), ("sin", sin)):
                x = x.expand(len(self.at), *x.shape[1:])[..., : dims // 2]
                self.seen[key, layer] = self.wide(self.take(x))

        return hook

    def layer_of(self, module):
        return next(l for l in range(self.L) if self.attention(l) is module)

    def attended(self, layer, q, k, scaling, window):
        """Stores the queries, keys [prompt, heads, position, d_head] and scores of the heads of a layer."""
        if layer in self.targets and ("q", layer) not in self.seen:
            if self.low and q.dtype != self.dtype:
                return self.again(layer)
            torch = self.torch
            self.windows[layer] = int(window or 0)
            every = torch.arange(len(self.at), device=q.device)[:, None]
            factor = scaling * self.scale * ((layer + 1) if self.by_layer else 1)
            divisor = self.scale * ((layer + 1) if self.by_layer else 1)
            at = self.at.to(q.device)
            for h in [h for l, h in self.heads if l == layer]:
                kv = h * k.shape[1] // self.H
                vector = self.wide(q[every, h, at]) * factor
                keys = self.wide(k[:, kv])
                self.seen["head", layer, h] = (
                    vector,
                    keys[every, at],
                    torch.einsum("bpe,bne->bpn", vector, keys) / divisor,
                )
            self.seen["q", layer] = True
        if layer == self.stop and ("q", layer) in self.seen:
            raise _Enough

    def again(self, layer):
        """Recomputes the attention of a layer in float32 from the model's stream."""
        import copy

        torch = self.torch
        args, kwargs = self.seen["call", layer]
        widen = lambda x: (
            x.to(self.dtype)
            if isinstance(x, torch.Tensor) and x.is_floating_point()
            else tuple(widen(y) for y in x)
            if isinstance(x, tuple)
            else x
        )
        norm, module = (
            None if m is None else copy.deepcopy(m).to(self.dtype)
            for m in (self.norm(layer), self.attention(layer))
        )
        x = self.seen["whole", layer].to(self.dtype)
        kwargs = {k: widen(v) for k, v in kwargs.items()}
        args = tuple(widen(a) for a in args)
        hidden = x if norm is None else norm(x)
        if args:
            args = (hidden,) + args[1:]
        else:
            kwargs["hidden_states"] = hidden
        self.double = (module, layer)
        hooks = []
        if self.qk_norm:
            for side in ("q", "k"):
                hooks.append(
                    getattr(module, side + "_proj").register_forward_hook(
                        lambda m, a, o, side=side: self.seen.__setitem__(
                            (side + "_proj", layer), self.wide(self.take(o))
                        )
                    )
                )
        module(*args, **kwargs)

    def intercept(self):
        """Intercepts all calls of attention, and returns a function that restores them."""
        self.double = (None, None)
        if self.kind == "falcon":
            return self.intercept_falcon()
        from transformers import AttentionInterface, AttentionMaskInterface
        from transformers.masking_utils import eager_mask

        def attention(module, query, key, value, mask, scaling=None, dropout=0.0, **kwargs):
            layer = self.double[1] if module is self.double[0] else self.layer_of(module)
            scaling = scaling if scaling is not None else query.shape[-1] ** -0.5
            self.attended(layer, query, key, scaling, kwargs.get("sliding_window"))
            eager = sys.modules[type(module).__module__].eager_attention_forward
            return eager(module, query, key, value, mask, scaling=scaling, dropout=0.0, **kwargs)

        AttentionInterface.register("ducklens", attention)
        AttentionMaskInterface.register("ducklens", eager_mask)
        before = self.config._attn_implementation
        self.config._attn_implementation = "ducklens"

        def restore():
            self.config._attn_implementation = before

        return restore

    def intercept_falcon(self):
        """The same for Falcon, which calls torch's attention directly."""
        functional = self.torch.nn.functional
        own, count = functional.scaled_dot_product_attention, [0]

        def attention(
            query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, **kwargs
        ):
            layer = self.double[1] if self.double[0] is not None else count[0]
            self.attended(layer, query, key, query.shape[-1] ** -0.5, 0)
            self.double, count[0] = (None, None), layer + 1
            return own(
                query,
                key,
                value,
                attn_mask=attn_mask,
                dropout_p=0.0,
                is_causal=is_causal,
                scale=scale,
                **kwargs,
            )

        functional.scaled_dot_product_attention = attention
        before = self.config._attn_implementation
        self.config._attn_implementation = "sdpa"

        def restore():
            functional.scaled_dot_product_attention = own
            self.config._attn_implementation = before

        return restore

    def root(self, x, centre, eps):
        """The number by which a norm divides x."""
        if centre:
            x = x - x.mean(-1, keepdim=True)
        return (x.pow(2).mean(-1) + eps).sqrt()

    def tensors(self, first, batch, kept):
        torch, seen = self.torch, self.seen
        home = seen["stream", 0].device
        to = lambda x: x.to(home)
        streams = [to(seen["stream", l]) for l in range(self.stop + 1)]
        parts = [to(seen["embed"]), to(seen["position"])] if self.family.position else [streams[0]]
        values, post_scales = [], []
        for l, (b, biases) in enumerate(self.biases):
            z = seen["z", l]
            z = z.reshape(*z.shape[:2], self.H, self.dh)
            if biases is not None:
                z = z - biases.to(z.device)
            factor = None
            if self.post:
                gain, eps, mlp_eps = self.after(l)
                scale, mlp_scale = (
                    self.root(seen["attended", l], False, eps),
                    self.root(seen["mlp_out", l], False, mlp_eps),
                )
                post_scales.append(torch.stack([to(scale), to(mlp_scale)], -1))
                factor = gain.to(z.device) / scale[..., None]
            through = lambda x: to(x if factor is None else x * factor)
            layer, bias = [], None
            if not self.parts:
                w = self.writing(l)[0].to(z.device)
                layer = [through(torch.einsum("bpe,ed->bpd", z[:, :, h], w[h])) for h in range(self.H)]
            else:
                values.append(to(z))
            if self.has_bias:
                bias = through(b.to(z.device).expand(*z.shape[:2], self.d))
                if not self.parts:
                    layer.append(bias)
            layer.append(to(seen["mlp", l]))
            if self.low:
                before = sum(parts) if l == 0 else streams[l]  # the sum of the embeddings is rounded too
                whole = sum(layer)
                if self.parts:
                    whole = (
                        whole
                        + through(torch.einsum("bphe,hed->bpd", z, self.writing(l)[0].to(z.device)))
                        + (0 if bias is None else bias)
                    )
                layer.append(streams[l + 1] - before - whole)
            parts += layer
        components = self.centre(torch.stack(parts, 2))  # [prompt, place, component, d]
        stream = torch.stack([streams[l] for l in self.targets], 1)  # [prompt, layer, place, d]
        scale = self.root(stream, self.norm_kind == "LN", self.eps)
        stream = self.centre(stream)
        dims = max(self.dims(l) for l in self.targets)
        of = [seen["head", l, h] for l, h in self.heads]
        out = {}
        for i, number in enumerate(batch):
            n, at = len(kept[i]), f"{first + number}/"
            out[at + "components"], out[at + "stream"] = components[i, :n], stream[i, :, :n]
            if values:
                out[at + "values"] = torch.cat([z[i, :n] for z in values], 1)
            if self.norm_kind != "none":
                out[at + "norm_scale"] = scale[i, :, :n]
            for key, x in zip(("q", "k", "scores"), zip(*of)):
                out[at + key] = torch.stack([to(y[i, :n]) for y in x])
            if self.qk_norm:
                out[at + "q_scale"] = torch.stack(
                    [to(self.qk_scale("q", l, h)[i, :n]) for l, h in self.heads]
                )
                out[at + "k_scale"] = torch.stack(
                    [to(self.qk_scale("k", l, h * self.KV // self.H)[i, :n]) for l, h in self.heads]
                )
            if dims:
                for key in ("cos", "sin"):
                    rows = []
                    for l in self.targets:
                        x = torch.zeros(n, dims // 2, dtype=self.dtype, device=home)
                        if (key, l) in seen:
                            x[:, : self.dims(l) // 2] = to(seen[key, l][i, :n])
                        rows.append(x)
                    out[at + key] = torch.stack(rows)
            if self.post:
                out[at + "post_scale"] = (
                    torch.stack([s[i, :n] for s in post_scales])
                    if post_scales
                    else torch.zeros(0, n, 2, dtype=self.dtype)
                )
        return out

    def qk_scale(self, side, layer, head):
        x = self.seen[side + "_proj", layer]
        if self.qk_norm == "per_head":
            x = x.reshape(*x.shape[:2], -1, self.dh)[:, :, head]
        return self.root(x, False, self.qk_eps)


def _plain(torch, model):
    """The model of transformers that a TransformerBridge wraps part by part, sharing its weights; any other
    model unchanged."""
    if not hasattr(model, "original_model"):
        return model
    wrapped = model.original_model
    bare = lambda name: name.replace("._original_component", "")
    with torch.device("meta"):
        plain = type(wrapped)(wrapped.config)
    parts = {
        bare(name): x
        for names in (
            wrapped.named_parameters(remove_duplicate=False),
            wrapped.named_buffers(remove_duplicate=False),
        )
        for name, x in names
    }
    for kind in ("_parameters", "_buffers"):
        for path, module in plain.named_modules():
            for name, x in getattr(module, kind).items():
                key = f"{path}.{name}" if path else name
                if x is None:
                    continue
                if key not in parts or parts[key].shape != x.shape:
                    raise ValueError(
                        f"this TransformerBridge lacks {key}, which transformers has: capture the model of "
                        "transformers itself"
                    )
                getattr(module, kind)[name] = parts[key]
    return plain


def _epsilon(norm):
    eps = _first(getattr(norm, "variance_epsilon", None), getattr(norm, "eps", None))
    return 1e-5 if eps is None else float(eps)


def _misspelt(role, names):
    """The name that is role but for a letter that is wrong, missing or too many, two that are swapped, case,
    blanks, hyphens or underscores; or None. As in prompt files."""
    for name in names:
        a, b = role, re.sub("[ _-]", "", str(name).lower())
        while a and b and a[0] == b[0]:
            a, b = a[1:], b[1:]
        while a and b and a[-1] == b[-1]:
            a, b = a[:-1], b[:-1]
        if max(len(a), len(b)) <= 1 or len(a) == len(b) == 2 and a == b[::-1]:
            return name
    return None


def _head(head, layers, heads):
    layer, index = (
        int(x)
        for x in (
            head.upper().removeprefix("L").replace("H", ".").split(".") if isinstance(head, str) else head
        )
    )
    if not (0 <= layer < layers and 0 <= index < heads):
        raise ValueError(f"head {head}, and the model has {layers} layers of {heads} heads")
    return layer, index


def _records(prompts):
    return prompts.to_dict("records") if hasattr(prompts, "to_dict") else list(prompts)


def _position(number, role, given, texts):
    if isinstance(given, str):
        found = [i for i, t in enumerate(texts) if t in (given, " " + given)]
        if not found:
            raise ValueError(f"prompt {number}: {role} {given!r} is none of its tokens: {texts}")
        return found[-1] if role == "query" else found[0]
    at = int(given)
    if not -len(texts) <= at < len(texts):
        raise ValueError(f"prompt {number}: {role} {at} of {len(texts)} tokens")
    return at % len(texts)


_ACTIVATIONS = {
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_fast": "gelu_new",
    "swish": "silu",
}  # transformers' names, and ducklens's
_ROLES = ("query", "key", "baseline")


def _kept(line):
    """The positions of a prompt to keep, in ascending order."""
    if line.get("whole"):
        return list(range(len(line["tokens"])))
    return sorted({at for edge in line["edges"] for at in edge.values()})


def _keys(line):
    """The positions that may be a key or a baseline."""
    return (
        _kept(line)
        if line.get("whole")
        else [edge[role] for edge in line["edges"] for role in ("key", "baseline") if role in edge]
    )


def _batches(lines, size):
    """Groups prompts by length, so that there is no padding and rotations that depend on the length are
    right."""
    by_length = {}
    for i, line in enumerate(lines):
        by_length.setdefault(len(line["tokens"]), []).append(i)
    for group in by_length.values():
        for i in range(0, len(group), size):
            yield group[i : i + size]


def _sum(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            h.update(block)
    return h.hexdigest()
