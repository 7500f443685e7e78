"""Compares what ducklens.capture makes of a TransformerBridge with what it makes of the model that it wraps.

python bridge.py MODEL L.H: a model folder and a head. It ends with 1 where a tensor differs."""

import json
import os
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import ducklens  # noqa: E402


def main():
    path, head = sys.argv[1:]
    load = lambda: AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(path)
    prompts = [{"tokens": [5, 7, 9, 11, 9], "query": -1, "key": 1, "baseline": 2}, {"tokens": [3, 9, 4], "query": 2, "key": 2}]
    with tempfile.TemporaryDirectory() as folder:
        folders = [os.path.join(folder, n) for n in ("plain", "bridge")]
        ducklens.capture(load(), prompts, [head], folders[0], tokenizer)
        ducklens.capture(TransformerBridge.boot_transformers(path, hf_model=load(), tokenizer=tokenizer, device="cpu"), prompts, [head], folders[1])
        for name in sorted(os.listdir(folders[0])):
            if name.endswith(".safetensors"):
                one, two = (load_file(os.path.join(f, name)) for f in folders)
                assert one.keys() == two.keys(), (one.keys(), two.keys())
                for key in one:
                    torch.testing.assert_close(one[key], two[key], rtol=0, atol=0)
        one, two = (json.load(open(os.path.join(f, "run.json"))) for f in folders)
        assert one["model"]["sha256"] == two["model"]["sha256"] and one["components"] == two["components"]
    print("the same")


main()
