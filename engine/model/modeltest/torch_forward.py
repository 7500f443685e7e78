"""A plain PyTorch forward pass of GPT-2 small's sizes, for a comparison of speed.

For every line on standard input: one pass of 50 sequences of 22 tokens through 12 layers on 2 threads, without the
unembedding, and a line with its seconds, by the clock and of processor time, on standard output. The first line it writes says what it runs on.
"""

import sys
import time

import torch
import torch.nn.functional as F

LAYERS, HEADS, D, VOCABULARY, CONTEXT = 12, 12, 768, 50257, 1024
PROMPTS, LENGTH, THREADS = 50, 22, 2


def linear(inputs, outputs):
    return torch.rand(inputs, outputs) * (12 / inputs) ** 0.5 - (3 / inputs) ** 0.5, torch.zeros(outputs)


def affine(x, weight_and_bias):
    weight, bias = weight_and_bias
    return torch.addmm(bias, x.reshape(-1, x.shape[-1]), weight).view(*x.shape[:-1], -1)


def attention(x, qkv, out, mask):
    prompts, length, _ = x.shape
    q, k, v = (t.view(prompts, length, HEADS, -1).transpose(1, 2) for t in affine(x, qkv).split(D, dim=2))
    scores = (q @ k.transpose(2, 3)) / (D // HEADS) ** 0.5
    pattern = scores.masked_fill(mask, float("-inf")).softmax(-1)
    return affine((pattern @ v).transpose(1, 2).reshape(prompts, length, D), out)


def forward(tokens, embedding, position, layers):
    length = tokens.shape[1]
    mask = torch.ones(length, length).triu(1).bool()
    x = embedding[tokens] + position[:length]
    for qkv, out, up, down in layers:
        x = x + attention(F.layer_norm(x, (D,)), qkv, out, mask)
        x = x + affine(F.gelu(affine(F.layer_norm(x, (D,)), up), approximate="tanh"), down)
    return F.layer_norm(x, (D,))


def blas():
    try:
        with open("/proc/self/maps") as maps:
            return sorted({line.split()[-1] for line in maps if "blas" in line.lower()})
    except OSError:
        return []


def main():
    torch.manual_seed(1)
    torch.set_num_threads(THREADS)
    with torch.no_grad():
        embedding, position = torch.rand(VOCABULARY, D) * 2 - 1, torch.rand(CONTEXT, D) - 0.5
        layers = [(linear(D, 3 * D), linear(D, D), linear(D, 4 * D), linear(4 * D, D)) for _ in range(LAYERS)]
        tokens = torch.randint(VOCABULARY, (PROMPTS, LENGTH))
        print("torch", torch.__version__, *blas(), flush=True)
        for _ in sys.stdin:
            start, used = time.perf_counter(), time.process_time()
            forward(tokens, embedding, position, layers)
            print(time.perf_counter() - start, time.process_time() - used, flush=True)


if __name__ == "__main__":
    main()
