"""Captures a TransformerBridge of TransformerLens through its hooks: it measures what the modules do, and
checks the sums."""

import math
import os

from ._capture import _ACTIVATIONS, _Capture, _Enough, _Family, _first, _kept

_OPTIONAL = (
    "q_normed",
    "k_normed",
    "q_turned",
    "k_turned",
    "cosines",
    "sines",
    "mlp_out",
)  # hooks that only some kinds of attention have


class Bridge(_Capture):
    """Measures maps, biases and gains by passing unit vectors through the modules, and rotations and gains of
    QK-norm by comparing hooks before and after. So it does not matter how the weights are stored, folded and
    split. A model that the hooks do not explain is refused."""

    def __init__(self, torch, model, tokenizer, processing, bos, name, whole=False, parts=False):
        self.torch, self.bridge, self.model, self.tokenizer = (
            torch,
            model,
            model.original_model,
            tokenizer or getattr(model, "tokenizer", None),
        )
        self.raw, self.bos, self.whole, self.parts = processing == "raw", bos, whole, parts
        if processing not in ("processed", "raw"):
            raise ValueError(f'processing is {processing!r}, want "processed" or "raw"')
        if self.raw and getattr(model, "compatibility_mode", False):
            raise ValueError(
                'this TransformerBridge has processed its weights (enable_compatibility_mode), and '
                'processing is "raw": want "processed"'
            )
        self.config = c = (
            self.model.config.get_text_config()
            if hasattr(self.model.config, "get_text_config")
            else self.model.config
        )
        self.kind, cfg = getattr(self.model.config, "model_type", "unknown"), model.cfg
        if not all(hasattr(model, part) for part in ("blocks", "cfg", "unembed")):
            self.refuse_by("it has no list of blocks")
        self.L, self.H, self.d, self.dh = len(model.blocks), cfg.n_heads, cfg.d_model, cfg.d_head
        self.KV = getattr(cfg, "n_key_value_heads", None) or self.H
        self.dtype, self.low = next(p.dtype for p in self.model.parameters() if p.is_floating_point()), False
        if self.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"this TransformerBridge is in {self.dtype}, and its hooks add up in float32 or float64 "
                "alone: load it with dtype=torch.float32"
            )
        self.near = 1e-4 if self.dtype == torch.float32 else 1e-8
        self.name = (
            name
            or os.path.basename(
                str(getattr(c, "_name_or_path", "") or getattr(cfg, "model_name", "") or self.kind).rstrip(
                    "/"
                )
            )
            or self.kind
        )
        self.d_mlp, self.n_ctx = (
            getattr(cfg, "d_mlp", None) or 4 * self.d,
            _first(getattr(cfg, "n_ctx", None), getattr(c, "max_position_embeddings", None)),
        )
        act = getattr(cfg, "act_fn", None) or "unknown"
        self.activation = _ACTIVATIONS.get(act, act)
        self.post = hasattr(model.blocks[0], "ln1_post")
        self.by_layer, self.sinks, self.measured, self.turns, self.gains, self.factors = (
            False,
            False,
            {},
            {},
            {},
            {},
        )

    def refuse_by(self, why):
        raise ValueError(f"this {self.kind} cannot be captured by the hooks of its TransformerBridge: {why}")

    def same(self, one, two, what):
        """Refuses the model if two tensors differ that should be the same."""
        far = (one - two).abs().max().item()
        if not far <= self.near * max(1.0, two.abs().max().item()):
            self.refuse_by(f"{what}: they differ by {far:.2g}")

    # What modules do.

    def attention(self, layer):
        block = self.bridge.blocks[layer]
        a = getattr(block, "attn", None)
        if a is None or any(getattr(a, part, None) is None for part in ("q", "k", "v", "o")):
            self.refuse_by(f"layer {layer} has no attention of queries, keys, values and an output")
        return a

    def linear(self, key, module, inputs):
        """The matrix [inputs, outputs] of a module, and its bias or None.

        Scaling by a large power of 2 keeps the bias from rounding the matrix."""
        if key not in self.measured:
            at = next(self.model.parameters())
            eye = self.torch.eye(inputs, dtype=at.dtype, device=at.device)[None]
            with self.torch.no_grad():
                bias = module(eye[:, :1] * 0)[0, 0]
                weight = (module(eye * 2.0**20)[0] - bias) * 2.0**-20
            self.measured[key] = (
                self.wide(weight),
                (
                    self.wide(bias)
                    if bias.abs().max() > 0 or getattr(module, "bias", None) is not None
                    else None
                ),
            )
        return self.measured[key]

    def norm(self, layer):
        return getattr(self.bridge.blocks[layer], "ln1", None)

    def gain(self, norm):
        at = next(self.model.parameters())
        x = self.torch.linspace(1, 2, self.d, dtype=at.dtype, device=at.device)
        x[::2] *= -1
        x = (x - x.mean())[None, None]
        with self.torch.no_grad():
            up, down = norm(x)[0, 0], norm(-x)[0, 0]
        scaled = (x / self.root(x, True, self.epsilon(norm))[..., None])[0, 0]
        shift = (up + down) / 2
        return self.wide((up - down) / 2 / scaled), (
            self.wide(shift) if shift.abs().max() > 0 or getattr(norm, "bias", None) is not None else None
        )

    def epsilon(self, norm):
        inner = getattr(norm, "original_component", norm)
        return _first(
            getattr(inner, "variance_epsilon", None),
            getattr(inner, "eps", None),
            getattr(self.bridge.cfg, "eps", None),
            1e-5,
        )

    def centres(self, norm):
        """Whether a norm subtracts the mean."""
        at = next(self.model.parameters())
        x = self.torch.linspace(-1, 1, self.d, dtype=at.dtype, device=at.device)[None, None]
        with self.torch.no_grad():
            far = (norm(x + 3) - norm(x)).abs().max()
        return bool(far < 1e-3)

    def projections(self, layer):
        a, lists = self.attention(layer), []
        for side, heads in (("q", self.H), ("k", self.KV), ("v", self.KV)):
            w, b = self.linear((side, layer), getattr(a, side), self.d)
            if w.shape[1] != heads * self.dh:
                self.refuse_by(
                    f"layer {layer} makes {side} of {w.shape[1]} numbers, and {heads} heads of {self.dh} "
                    f"have {heads * self.dh}"
                )
            lists.append(
                (w.reshape(self.d, heads, self.dh), None if b is None else b.reshape(heads, self.dh))
            )
        biases = [b for _, b in lists]
        if all(b is None for b in biases):
            return [w for w, _ in lists], None
        return [w for w, _ in lists], [self.torch.zeros_like(w[0]) if b is None else b for w, b in lists]

    def writing(self, layer):
        w, b = self.linear(("o", layer), self.attention(layer).o, self.H * self.dh)
        factor = self.factors.get(layer, 1.0)
        return w.reshape(self.H, self.dh, self.d) * factor, None if b is None else b * factor

    def after(self, layer):
        block = self.bridge.blocks[layer]
        return self.gain(block.ln1_post)[0], self.epsilon(block.ln1_post), self.epsilon(block.ln2_post)

    def last_norm(self):
        final = getattr(self.bridge, "ln_final", None)
        return (None, False) if final is None else (self.gain(final)[0], self.centres(final))

    def unembedding(self):
        return self.bridge.W_U.detach().T

    def vocabulary(self):
        return self.bridge.W_U.shape[1]

    def dims(self, layer):
        return self.turns.get(layer, (0, False))[0]

    def qk_gain(self, side, layer, head):
        return self.gains[side, layer][head]

    # The forward pass.

    def prepare(self):
        """Runs the longest prompt, and derives the properties of the model from it."""
        norm = self.norm(self.stop)
        self.norm_kind = "none" if norm is None else "LN" if self.centres(norm) else "RMS"
        self.eps = 1e-5 if norm is None else self.epsilon(norm)
        self.centred = not self.raw and self.norm_kind == "LN" and not self.post
        self.qk_norm, self.qk_eps, self.scale = "", 0.0, None
        self.soft_cap = float(getattr(self.config, "attn_logit_softcapping", None) or 0.0)
        self.sinks = getattr(self.attention(self.stop).original_component, "sinks", None) is not None
        hooks = self.bridge.hook_dict
        position = any(name.startswith("pos_embed.") for name in hooks)
        self.family = _Family(None, None, None, None, None, position=position or None)
        self.look([max(self.lines, key=lambda line: len(line["tokens"]))], [0])
        self.family.rotary = any(d for d, _ in self.turns.values())
        self.family.rotary_pairs = any(pairs for d, pairs in self.turns.values() if d)
        if any(pairs != self.family.rotary_pairs for d, pairs in self.turns.values() if d):
            self.refuse_by("its layers pair the dimensions that turn in two ways")
        shift = None if norm is None else self.gain(norm)[1]
        self.qk_bias = self.projections(self.stop)[1] is not None or shift is not None
        self.o_bias = any(self.writing(l)[1] is not None for l in range(self.stop))
        self.has_bias = (
            self.o_bias
            or not self.raw
            and not self.sinks
            and any(self.value_biases(l) is not None for l in range(self.stop))
        )
        super().prepare()

    def run(self, first, lines, batch):
        self.look(lines, batch)
        return self.tensors(first, batch, [_kept(lines[i]) for i in batch])

    def look(self, lines, batch):
        """Runs prompts of one length, and stores what the hooks show at the positions to keep."""
        torch, wide = self.torch, {}
        kept = [_kept(lines[i]) for i in batch]
        most = max(len(k) for k in kept)
        self.at = torch.tensor([k + k[-1:] * (most - len(k)) for k in kept])
        self.seen = {}
        ids = torch.tensor([lines[i]["tokens"] for i in batch], device=next(self.model.parameters()).device)

        def keep(key):
            def hook(x, hook):
                wide[key] = self.wide(x)
                if key == ("pattern", self.stop):
                    raise _Enough

            return hook

        names = {"pos_embed.hook_out": "position"} if self.family.position else {}
        for l in range(self.stop + 1):
            self.attention(l)
            at = f"blocks.{l}."
            names[at + "hook_in"] = ("stream", l)
            if l in self.targets:
                names.update(
                    {
                        at + "attn." + name: (key, l)
                        for name, key in (
                            ("q.hook_in", "in"),
                            ("q.hook_out", "q_proj"),
                            ("k.hook_out", "k_proj"),
                            ("hook_q_normed", "q_normed"),
                            ("hook_k_normed", "k_normed"),
                            ("hook_rot_q", "q_turned"),
                            ("hook_rot_k", "k_turned"),
                            ("hook_cos", "cosines"),
                            ("hook_sin", "sines"),
                            ("hook_pattern", "pattern"),
                        )
                    }
                )
            if l < self.stop:
                names.update(
                    {
                        at + "attn.o.hook_in": ("z", l),
                        at + "attn.hook_out": ("attended", l),
                        at + "mlp.hook_out": ("mlp_out", l),
                        at + "hook_attn_out": ("added", l),
                        at + "hook_mlp_out": ("mlp", l),
                    }
                )
        hooks = self.bridge.hook_dict
        for name, key in names.items():
            if name not in hooks and key[0] not in _OPTIONAL:
                self.refuse_by(f"there is no hook {name}")
        training = self.bridge.training
        try:
            self.bridge.eval()
            with torch.no_grad():
                self.bridge.run_with_hooks(
                    ids,
                    fwd_hooks=[(name, keep(key)) for name, key in names.items() if name in hooks],
                    return_type=None,
                )
            self.refuse_by(f"the pattern of layer {self.stop} did not come")
        except _Enough:
            pass
        finally:
            self.bridge.train(training)
        missing = [name for name, key in names.items() if key not in wide and key[0] not in _OPTIONAL]
        if missing:
            self.refuse_by(f"hook {missing[0]} shows nothing")
        self.account(wide)

    def account(self, wide):
        """Checks that the values of the hooks add up, and stores them at the positions to keep."""
        for l in range(self.stop):
            before, after, added, mlp = (
                wide[key] for key in (("stream", l), ("stream", l + 1), ("added", l), ("mlp", l))
            )
            self.same(
                before + added + mlp.reshape(before.shape),
                after,
                f"attention and the MLP of layer {l} do not add up to what it does to the stream",
            )
            w, b = self.linear(("o", l), self.attention(l).o, self.H * self.dh)
            raw = wide["z", l].reshape(*before.shape[:2], -1) @ w + (0 if b is None else b)
            if self.post:
                gain, eps, _ = self.after(l)
                self.same(
                    raw / self.root(raw, False, eps)[..., None] * gain,
                    added,
                    f"the norm after the attention of layer {l} is no root of a mean square",
                )
            elif l not in self.factors:
                factor = ((raw * added).sum() / raw.pow(2).sum()).item()
                self.factors[l] = 1.0 if abs(factor - 1) < 1e-5 else factor
            if not self.post:
                self.same(
                    raw * self.factors[l],
                    added,
                    f"weighted values and the output map of layer {l} are not what its attention adds",
                )
            for key, x in (
                ("z", wide["z", l].reshape(*before.shape[:2], -1)),
                ("attended", wide["attended", l]),
                ("mlp", mlp.reshape(before.shape)),
            ):
                self.seen[key, l] = self.take(x)
            if self.post:
                self.seen["mlp_out", l] = self.take(wide["mlp_out", l].reshape(before.shape))
        for l in range(self.stop + 1):
            self.seen["stream", l] = self.take(wide["stream", l])
        if self.family.position:
            x = wide["position"]
            self.seen["position"] = self.take(x.expand(len(self.at), *x.shape[1:]))
            self.seen["embed"] = self.seen["stream", 0] - self.seen["position"]
        for l in self.targets:
            self.scored(l, wide)

    def heads_of(self, x, positions, transposed=False):
        """A tensor of vectors as [prompt, position, heads, d_head]."""
        if x.dim() == 4 and (transposed or x.shape[1] != positions and x.shape[2] == positions):
            x = x.transpose(1, 2)
        return x.reshape(x.shape[0], positions, -1, self.dh)

    def scored(self, l, wide):
        """Queries, keys and scores of the target heads of a layer."""
        torch, stream, norm = self.torch, wide["stream", l], self.norm(l)
        n, seen = stream.shape[1], stream
        if norm is not None:
            gain, shift = self.gain(norm)
            centred = stream - stream.mean(-1, keepdim=True) if self.norm_kind == "LN" else stream
            seen = centred / self.root(stream, self.norm_kind == "LN", self.eps)[..., None] * gain + (
                0 if shift is None else shift
            )
        self.same(
            seen,
            wide["in", l].reshape(seen.shape),
            f"the norm before the attention of layer {l} is not what its queries read",
        )
        sides = []
        for side in ("q", "k"):
            x = self.heads_of(wide[side + "_proj", l], n)
            self.seen[side + "_proj", l] = self.take(x.reshape(*x.shape[:2], -1))
            if (side + "_normed", l) in wide:
                x = self.normed(side, l, x, wide[side + "_normed", l])
            if (side + "_turned", l) in wide:
                y = self.heads_of(wide[side + "_turned", l], n)
            else:
                y = self.by_angles(x, wide["cosines", l], wide["sines", l]) if ("cosines", l) in wide else x
            sides.append((x, y))
        (q, q_turned), (k, k_turned) = sides
        self.turned(l, torch.cat([q, k], 2), torch.cat([q_turned, k_turned], 2))
        many = k_turned.repeat_interleave(self.H // self.KV, 2)
        products = torch.einsum("bqhe,bkhe->bhqk", q_turned, many)
        self.settle_scale(l, products, wide["pattern", l])
        for h in [h for layer, h in self.heads if layer == l]:
            keys = k_turned[:, :, h * self.KV // self.H]
            self.seen["head", l, h] = (
                self.take(q_turned[:, :, h]),
                self.take(keys),
                self.take(products[:, h]) / self.scale,
            )

    def normed(self, side, l, x, y):
        """Queries or keys after QK-norm, whose gain is measured."""
        kind = "per_head" if y.dim() == 4 else "full_width"
        if self.qk_norm not in ("", kind):
            self.refuse_by("its layers have QK-norms of two kinds")
        self.qk_norm = kind
        module = getattr(self.attention(l), side + "_norm")
        self.qk_eps = self.epsilon(module)
        y = self.heads_of(y, x.shape[1], transposed=True)
        flat = x if kind == "per_head" else x.reshape(*x.shape[:2], 1, -1)
        unit = (flat / self.root(flat, False, self.qk_eps)[..., None]).reshape(x.shape)
        if (side, l) not in self.gains:
            self.gains[side, l] = (unit * y).sum((0, 1)) / unit.pow(2).sum((0, 1))
        self.same(
            unit * self.gains[side, l], y, f"QK-norm of layer {l} is no root of a mean square with a gain"
        )
        return y

    def by_angles(self, x, cos, sin):
        """x rotated by the angles of a hook, with halves as pairs. Comparing the attention checks that
        assumption."""
        half = cos.shape[-1] // 2
        cos, sin = cos[..., None, :half], sin[..., None, :half]
        a, b = x[..., :half], x[..., half : 2 * half]
        return self.torch.cat([a * cos - b * sin, b * cos + a * sin, x[..., 2 * half :]], -1)

    def turned(self, l, x, y):
        """Finds the angles by which a layer rotates queries and keys x [prompt, position, heads, d_head] into
        y."""
        if self.torch.equal(x, y) and l not in self.turns:
            self.turns[l] = (0, False)
        candidates = (
            [self.turns[l]]
            if l in self.turns
            else [(d, pairs) for d in range(2, self.dh + 1, 2) for pairs in (False, True)]
        )
        fits = [(self.turn(x, y, dims, pairs), dims, pairs) for dims, pairs in candidates]
        least = min(far for (far, _, _), _, _ in fits)
        (far, cos, sin), dims, pairs = next(
            fit for fit in fits if fit[0][0] <= 4 * least
        )  # the fewest dimensions with an error near the least
        if not far <= self.near * max(1.0, y.abs().max().item()):
            self.refuse_by(
                f"queries and keys of layer {l} are not turned by one angle for each pair of dimensions: "
                f"they differ by {far:.2g}"
            )
        self.turns[l] = (dims, pairs)
        if dims:
            self.seen["cos", l], self.seen["sin", l] = self.take(cos), self.take(sin)

    def turn(self, x, y, dims, pairs):
        """The angles that best rotate the first dimensions of x into those of y, and the remaining error."""
        torch = self.torch
        if not dims:
            return (x - y).abs().max().item(), None, None
        first = torch.arange(0, dims, 2) if pairs else torch.arange(dims // 2)
        second = first + (1 if pairs else dims // 2)
        a, b, c, d = x[..., first], x[..., second], y[..., first], y[..., second]
        size = (a * a + b * b).sum(2)
        cos, sin = (a * c + b * d).sum(2) / size, (a * d - b * c).sum(2) / size
        made = x.clone()
        made[..., first], made[..., second] = (
            a * cos[:, :, None] - b * sin[:, :, None],
            b * cos[:, :, None] + a * sin[:, :, None],
        )
        return (made - y).abs().max().item(), cos, sin

    def settle_scale(self, l, products, pattern):
        """Checks that the attention of a layer is the softmax of q . k over a scale."""
        torch = self.torch
        inner, n = self.attention(l).original_component, products.shape[-1]
        window = self.window(l, inner)
        back = torch.arange(n)[:, None] - torch.arange(n)
        hidden = ((back < 0) | (back >= window if window else False)).to(products.device)

        def far(scale):
            scores = products / scale
            if self.soft_cap:
                scores = self.soft_cap * torch.tanh(scores / self.soft_cap)
            scores = scores.masked_fill(hidden, -math.inf)
            if self.sinks:
                column = self.wide(inner.sinks).reshape(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
                return (torch.cat([scores, column], -1).softmax(-1)[..., :-1] - pattern).abs().max().item()
            return (scores.softmax(-1) - pattern).abs().max().item()

        known = [
            1 / v
            for v in (getattr(inner, "scaling", None), getattr(inner, "scale", None))
            if isinstance(v, float) and v > 0
        ]
        candidates = [self.scale] if self.scale else [*known, self.dh**0.5, 1.0]
        scale = min(candidates, key=far)
        if not far(scale) <= self.near:
            self.refuse_by(
                f"the attention of layer {l} is not the softmax of q . k divided by one number (ALiBi, a "
                "bias of positions, other scales in other "
                f"layers): probabilities differ by {far(scale):.2g}"
            )
        self.scale, self.windows[l] = scale, window

    def window(self, l, inner):
        kinds = getattr(self.config, "layer_types", None)
        if kinds is not None:
            return (
                int(self.config.sliding_window or 0)
                if kinds[l] in ("sliding_attention", "local_attention")
                else 0
            )
        local = getattr(self.config, "attention_layers", None)
        if local is not None and hasattr(self.config, "window_size"):
            return int(self.config.window_size) if local[l] == "local" else 0
        return int(getattr(inner, "sliding_window", None) or 0)
