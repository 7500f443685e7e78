"""Trains the demo model. See README.md."""

import argparse
import json
import math
import pathlib
import random
import time

import torch
import torch.nn.functional as F

import data
import evaluate
import model

HERE = pathlib.Path(__file__).parent


def rate(step, o):
    """The learning rate: a linear rise, then half a cosine down to a twentieth."""
    if step < o.warmup:
        return o.rate * (step + 1) / o.warmup
    t = (step - o.warmup) / (o.steps - o.warmup)
    return o.rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * t)))


def pad(texts, end):
    """Inputs and targets [batch, position]; targets are -100, which counts for nothing, after a text's
    end."""
    length = max(map(len, texts)) - 1
    inputs = torch.full((len(texts), length), end)
    targets = torch.full((len(texts), length), -100)
    for i, ids in enumerate(texts):
        inputs[i, : len(ids) - 1] = torch.tensor(ids[:-1])
        targets[i, : len(ids) - 1] = torch.tensor(ids[1:])
    return inputs, targets


def hint(keep, texts, names, layers):
    """How far three heads are from looking where they are told to, in nats, the mean over texts: head 0 of
    layer 1 from S2 to S1, head 0 of the layer before the last from END to S2, head 0 of the last layer from
    END to IO."""
    found = [(i, data.landmarks(ids, names)) for i, ids in enumerate(texts)]
    found = [(i, *where) for i, where in found if where]
    if not found:
        return 0.0
    row, end, io, s2, s1 = torch.tensor(found).T
    total = 0.0
    for layer, query, key in ((1, s2, s1), (layers - 2, end, s2), (layers - 1, end, io)):
        total = total - (keep[f"pattern{layer}"][row, 0, query, key] + 1e-6).log().mean()
    return total


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--seed", type=int, required=True)
    a.add_argument(
        "--model",
        type=pathlib.Path,
        default=HERE.parent / "model",
        help="folder with config.json and vocab.json",
    )
    a.add_argument("--out", type=pathlib.Path, required=True, help="safetensors file to write")
    a.add_argument("--steps", type=int, default=2500)
    a.add_argument("--batch", type=int, default=32)
    a.add_argument("--rate", type=float, default=3e-3)
    a.add_argument("--warmup", type=int, default=100)
    a.add_argument("--decay", type=float, default=0.1)
    a.add_argument("--hint", type=float, default=0.3, help="weight of the hint at the start")
    a.add_argument(
        "--hinted", type=float, default=0.4, help="share of the steps after which there is no hint"
    )
    a.add_argument("--override", type=json.loads, default={})
    o = a.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    config = json.loads((o.model / "config.json").read_text())
    config.update(o.override)
    tokens = data.Tokens(o.model / "vocab.json")
    sentences = data.Sentences(HERE.parents[2] / "ingest" / "prompts" / "ioi.json", HERE / "templates.json")
    names = {tokens.name(name) for name in sentences.names}
    rng = random.Random(o.seed)
    p = model.initial(config, torch.Generator().manual_seed(o.seed))
    for t in p.values():
        t.requires_grad_()
    matrices = [t for name, t in p.items() if t.dim() > 1]
    vectors = [t for name, t in p.items() if t.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": o.decay}, {"params": vectors, "weight_decay": 0.0}],
        betas=(0.9, 0.98),
        eps=1e-8,
    )
    start, total = time.process_time(), 0.0
    for step, texts in enumerate(data.batches(sentences, tokens, rng, o.batch, o.steps)):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, o)
        inputs, targets = pad(texts, tokens.end)
        weight = o.hint * max(0, 1 - step / (o.hinted * o.steps)) if o.hinted else 0
        keep = {} if weight else None
        loss = F.cross_entropy(model.forward(p, config, inputs, keep).flatten(0, 1), targets.flatten())
        plain = loss.item()
        if weight:
            loss = loss + weight * hint(keep, texts, names, config["n_layer"])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(p.values(), 1.0)
        optimizer.step()
        total += plain
        if (step + 1) % 100 == 0:
            prompts = data.sample(sentences, tokens, 1, sentences.trained_templates, 200)
            found = evaluate.answers(p, config, prompts)
            head, to_io, to_s1 = evaluate.most_selective(p, config, prompts)
            print(
                f"step {step + 1}: loss {total / 100:.4f}, held-out pairs: accuracy {found['accuracy']:.3f}, "
                f"logit difference {found['difference']:.2f}, head {head} attends to IO {to_io:.2f}, S1 "
                f"{to_s1:.2f}, {time.process_time() - start:.0f} s",
                flush=True,
            )
            total = 0.0
    model.save(p, o.out)


if __name__ == "__main__":
    main()
