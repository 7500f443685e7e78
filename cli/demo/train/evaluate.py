"""Measures models that train.py made, and applies the criterion of README.md to them."""

import argparse
import hashlib
import json
import pathlib

import torch

import data
import model

HERE = pathlib.Path(__file__).parent


def padded(prompts):
    """Tokens [prompt, position], and the last position of each prompt."""
    length = max(len(ids) for ids, _, _ in prompts)
    tokens = torch.zeros(len(prompts), length, dtype=torch.long)
    for i, (ids, _, _) in enumerate(prompts):
        tokens[i, : len(ids)] = torch.tensor(ids)
    return tokens, torch.tensor([len(ids) - 1 for ids, _, _ in prompts])


def answers(p, config, prompts, keep=None):
    """Accuracy over the whole vocabulary, and the mean of logit(IO) - logit(S) in nats."""
    tokens, end = padded(prompts)
    with torch.no_grad():
        logits = model.forward(p, config, tokens, keep)[torch.arange(len(prompts)), end]
    io = torch.tensor([x[1] for x in prompts])
    s = torch.tensor([x[2] for x in prompts])
    rows = torch.arange(len(prompts))
    return {
        "accuracy": (logits.argmax(-1) == io).sum().item() / len(prompts),
        "difference": (logits[rows, io] - logits[rows, s]).mean().item(),
    }


def centre(x):
    return x - x.mean(-1, keepdim=True)


class Heads:
    """What the heads of a model do on prompts: positions END, IO, S1 and S2 (the last mention of the subject)
    of each."""

    def __init__(self, p, config, prompts):
        self.p, self.config, self.keep = p, config, {}
        answers(p, config, prompts, self.keep)
        self.rows = torch.arange(len(prompts))
        self.end = padded(prompts)[1]
        self.io = torch.tensor([ids.index(io) for ids, io, _ in prompts])
        self.s1 = torch.tensor([ids.index(s) for ids, _, s in prompts])
        self.s2 = torch.tensor([len(ids) - 1 - ids[::-1].index(s) for ids, _, s in prompts])
        unembed = p["wte.weight"] * p["ln_f.weight"]
        self.unembed = centre(unembed - unembed.mean(0))  # [vocabulary, d_model]
        self.io_token = torch.tensor([x[1] for x in prompts])
        self.s_token = torch.tensor([x[2] for x in prompts])
        # As ducklens has it: the value bias, with the bias of the LayerNorm before it, belongs to b_O, and
        # not to the head.
        d, n = config["n_embd"], config["n_head"]
        for l in range(config["n_layer"]):
            h = f"h.{l}."
            bias = (p[h + "ln_1.bias"] @ p[h + "attn.c_attn.weight"] + p[h + "attn.c_attn.bias"])[
                2 * d :
            ].view(n, d // n)
            rows = p[h + "attn.c_proj.weight"].view(n, d // n, d)
            for i in range(n):
                self.keep[f"{l}.{i}"] = self.keep[f"{l}.{i}"] - bias[i] @ rows[i]
                self.keep[f"b_O{l}"] = self.keep[f"b_O{l}"] + bias[i] @ rows[i]

    def scale(self, stream, position):
        """sigma of the LayerNorm over a stream at one position of each prompt [prompt, 1]."""
        x = self.keep[stream][self.rows, position]
        return (x.var(-1, unbiased=False, keepdim=True) + self.config["layer_norm_epsilon"]).sqrt()

    def attention(self, layer, head):
        """Probability from END to IO, to S1 and to S2, each [prompt]."""
        pattern = self.keep[f"pattern{layer}"][self.rows, head, self.end]
        return pattern[self.rows, self.io], pattern[self.rows, self.s1], pattern[self.rows, self.s2]

    def own(self, layer, head):
        """Probability from IO to itself [prompt]."""
        return self.keep[f"pattern{layer}"][self.rows, head, self.io, self.io]

    def direct(self, layer, head):
        """What the head at END adds to the logit of IO, and to that of S, in nats [prompt]; the mean of all
        logits is 0."""
        out = centre(self.keep[f"{layer}.{head}"][self.rows, self.end]) / self.scale("final", self.end)
        return (out * self.unembed[self.io_token]).sum(-1), (out * self.unembed[self.s_token]).sum(-1)

    def components(self, layer):
        """The components of the stream before a layer, by ducklens's labels."""
        names = ["W_E", "W_pos"]
        for l in range(layer):
            names += [f"{l}.{i}" for i in range(self.config["n_head"])] + [f"b_O{l}", f"MLP{l}"]
        return names

    def contributions(self, layer, head):
        """Mean contributions to score(END, IO) - score(END, S1): of the query side and of the key side, by
        component."""
        p, d, n = self.p, self.config["n_embd"], self.config["n_head"]
        h, width, stream = f"h.{layer}.", d // n, f"stream{layer}"
        weight, bias = p[h + "attn.c_attn.weight"], p[h + "attn.c_attn.bias"]
        gain, shift = p[h + "ln_1.weight"], p[h + "ln_1.bias"]
        maps = [weight[:, s * d + head * width :][:, :width] for s in (0, 1)]
        query_bias = shift @ maps[0] + bias[head * width :][:width]
        q = self.keep[f"q{layer}"][self.rows, head, self.end] / width**0.5
        keys = self.keep[f"k{layer}"][self.rows, head]
        difference = (keys[self.rows, self.io] - keys[self.rows, self.s1]) / width**0.5

        def part(name, position, which):
            return (
                centre(self.keep[name][self.rows, position])
                / self.scale(stream, position)
                * gain
                @ maps[which]
            )

        query = {"b_Q": (difference @ query_bias).mean().item()}
        key = {}
        for name in self.components(layer):
            query[name] = (part(name, self.end, 0) * difference).sum(-1).mean().item()
            key[name] = ((part(name, self.io, 1) - part(name, self.s1, 1)) * q).sum(-1).mean().item()
        total = (q * difference).sum(-1).mean().item() * width**0.5
        for side in (query, key):
            assert abs(sum(side.values()) - total) < 1e-3 * max(1, abs(total)), "contributions do not add up"
        return query, key


def most_selective(p, config, prompts):
    """The head of the second half of the layers that attends to IO most beyond S1, and its two mean
    probabilities."""
    with torch.no_grad():
        heads = Heads(p, config, prompts)
    found = []
    for layer in range(config["n_layer"] // 2, config["n_layer"]):
        for i in range(config["n_head"]):
            to_io, to_s1, _ = (x.mean().item() for x in heads.attention(layer, i))
            found.append((to_io - to_s1, f"{layer}.{i}", to_io, to_s1))
    return max(found)[1:]


def largest(side):
    """The three largest contributions, and their share in the sum of absolute values."""
    top = sorted(side, key=lambda name: -abs(side[name]))[:3]
    return top, sum(abs(side[name]) for name in top) / sum(map(abs, side.values()))


def report(path, config, sentences, tokens):
    """Prints what one model does, and gives its candidates by the criterion: (negative, concentration,
    head)."""
    p = model.load(path)
    print(f"{path.name}  SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    sets = {
        "selection": data.sample(sentences, tokens, 101, sentences.trained_templates),
        "test": data.sample(sentences, tokens, 102, sentences.test_templates),
        "trained pairs": data.sample(
            sentences, tokens, 103, sentences.trained_templates, held_out_pair=False
        ),
    }
    learnt = True
    for name, prompts in sets.items():
        found = answers(p, config, prompts)
        print(f"  {name}: accuracy {found['accuracy']:.3f}, logit difference {found['difference']:.2f}")
        if name != "trained pairs":
            learnt = learnt and found["accuracy"] > 0.97 and found["difference"] > 3
    heads, candidates = Heads(p, config, sets["selection"]), []
    for layer in range(config["n_layer"]):
        for i in range(config["n_head"]):
            to_io, to_s1, to_s2 = heads.attention(layer, i)
            more = (to_io > to_s1).float().mean().item()
            on_io, on_s = heads.direct(layer, i)
            query, key = heads.contributions(layer, i)
            late = layer >= config["n_layer"] / 2
            good = late and to_io.mean() >= 0.3 and to_io.mean() >= 3 * to_s1.mean() and more >= 0.9
            negative = on_io.mean() <= -0.1 and (on_io < 0).float().mean() >= 0.8
            (top_query, query_share), (top_key, key_share) = largest(query), largest(key)
            print(
                f"  {layer}.{i}: attends to IO {to_io.mean():.3f}, S1 {to_s1.mean():.3f}, S2 "
                f"{to_s2.mean():.3f}, IO more than S1 on {more:.1%}, from IO to itself "
                f"{heads.own(layer, i).mean():.3f}; direct effect on logit IO {on_io.mean():+.2f} (< 0 on "
                f"{(on_io < 0).float().mean():.0%}), S {on_s.mean():+.2f}; score difference "
                f"{sum(key.values()):+.2f}"
            )
            if good:
                for side, values, top, share in (
                    ("query", query, top_query, query_share),
                    ("key", key, top_key, key_share),
                ):
                    print(
                        f"       {side}: "
                        + ", ".join(f"{name} {values[name]:+.2f}" for name in top)
                        + f", share {share:.2f}"
                    )
                if learnt:
                    candidates.append((bool(negative), min(query_share, key_share), f"{layer}.{i}"))
                    print(
                        f"       candidate{', negative' if negative else ''}, concentration "
                        f"{min(query_share, key_share):.2f}"
                    )
    return candidates


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("weights", type=pathlib.Path, nargs="+", help="safetensors files")
    a.add_argument(
        "--model",
        type=pathlib.Path,
        default=HERE.parent / "model",
        help="folder with config.json and vocab.json",
    )
    a.add_argument("--override", type=json.loads, default={})
    o = a.parse_args()
    torch.set_num_threads(1)
    config = json.loads((o.model / "config.json").read_text())
    config.update(o.override)
    tokens = data.Tokens(o.model / "vocab.json")
    sentences = data.Sentences(HERE.parents[2] / "ingest" / "prompts" / "ioi.json", HERE / "templates.json")
    best = max(
        ((c, path.name) for path in o.weights for c in report(path, config, sentences, tokens)), default=None
    )
    print("chosen: " + (f"{best[1]}, head {best[0][2]}" if best else "none"))


if __name__ == "__main__":
    main()
