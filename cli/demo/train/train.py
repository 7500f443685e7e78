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
    """Inputs and targets [batch, position]; targets are -100, which counts for nothing, after a text's end."""
    length = max(map(len, texts)) - 1
    inputs = torch.full((len(texts), length), end)
    targets = torch.full((len(texts), length), -100)
    for i, ids in enumerate(texts):
        inputs[i, : len(ids) - 1] = torch.tensor(ids[:-1])
        targets[i, : len(ids) - 1] = torch.tensor(ids[1:])
    return inputs, targets


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--seed", type=int, required=True)
    a.add_argument("--model", type=pathlib.Path, default=HERE.parent / "model", help="folder with config.json and vocab.json")
    a.add_argument("--out", type=pathlib.Path, required=True, help="safetensors file to write")
    a.add_argument("--steps", type=int, default=4000)
    a.add_argument("--batch", type=int, default=32)
    a.add_argument("--rate", type=float, default=3e-3)
    a.add_argument("--warmup", type=int, default=100)
    a.add_argument("--decay", type=float, default=0.1)
    a.add_argument("--override", type=json.loads, default={})
    o = a.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    config = json.loads((o.model / "config.json").read_text())
    config.update(o.override)
    tokens = data.Tokens(o.model / "vocab.json")
    sentences = data.Sentences(HERE.parents[2] / "ingest" / "prompts" / "ioi.json", HERE / "templates.json")
    rng = random.Random(o.seed)
    p = model.initial(config, torch.Generator().manual_seed(o.seed))
    for t in p.values():
        t.requires_grad_()
    matrices = [t for name, t in p.items() if t.dim() > 1]
    vectors = [t for name, t in p.items() if t.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": o.decay}, {"params": vectors, "weight_decay": 0.0}], betas=(0.9, 0.98), eps=1e-8
    )
    start, total = time.process_time(), 0.0
    for step, texts in enumerate(data.batches(sentences, tokens, rng, o.batch, o.steps)):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, o)
        inputs, targets = pad(texts, tokens.end)
        loss = F.cross_entropy(model.forward(p, config, inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(p.values(), 1.0)
        optimizer.step()
        total += loss.item()
        if (step + 1) % 100 == 0:
            prompts = data.sample(sentences, tokens, 1, sentences.trained_templates, 200)
            found = evaluate.answers(p, config, prompts)
            head, to_io, to_s1 = evaluate.most_selective(p, config, prompts)
            print(
                f"step {step + 1}: loss {total / 100:.4f}, held-out pairs: accuracy {found['accuracy']:.3f}, logit difference {found['difference']:.2f}, head {head} attends to IO {to_io:.2f}, S1 {to_s1:.2f}, {time.process_time() - start:.0f} s",
                flush=True,
            )
            total = 0.0
    model.save(p, o.out)


if __name__ == "__main__":
    main()
