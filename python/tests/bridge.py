"""Compares what ducklens.capture makes of TransformerBridges.

python bridge.py MODEL L.H: a model folder and a head. A bridge gives what the model gives that it wraps; so does a bridge that is captured by
its hooks, as stored and in compatibility mode, table by table.
python bridge.py TYPE ...: small models of random weights, of types that ducklens does not know: captured by the hooks, they add up, or
are refused where they must be.
$DUCKLENS_PROGRAM is the ducklens program. It ends with 1 where something is wrong."""

import json
import os
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from captured import TOLERANCE, closure, compare  # noqa: E402
import ducklens  # noqa: E402
from ducklens._bridge import Bridge  # noqa: E402
from ducklens._program import run  # noqa: E402

PROMPTS = [
    {"tokens": [5, 7, 9, 11, 9, 3, 8, 2, 6], "edges": [{"query": 8, "key": 6, "baseline": 7}, {"query": 6, "key": 5}]},
    {"tokens": [3, 9, 4], "query": 2, "key": 2},
]
SMALL = dict(vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64)
GPT = dict(vocab_size=97, n_embd=32, n_layer=3, n_head=4, n_positions=64)
EXPERTS = dict(num_experts=4, num_experts_per_tok=2)
TYPES = {
    "stablelm": SMALL, "starcoder2": SMALL, "nemotron": SMALL, "cohere": SMALL, "mixtral": dict(SMALL, num_local_experts=4), "olmoe": dict(SMALL, **EXPERTS),
    "glm": dict(SMALL, head_dim=8, pad_token_id=0), "gpt_bigcode": GPT, "granite": dict(SMALL, residual_multiplier=0.3, embedding_multiplier=5.0, attention_multiplier=0.2),
    "qwen2_moe": dict(SMALL, **EXPERTS, moe_intermediate_size=16, shared_expert_intermediate_size=16),
    "gpt_neo": dict(vocab_size=97, hidden_size=32, num_layers=3, num_heads=4, intermediate_size=48, max_position_embeddings=64,
                    attention_types=[[["global", "local", "global"], 1]], window_size=5),
    "bloom": dict(vocab_size=97, hidden_size=32, n_layer=3, n_head=4),
}
REFUSED = {"bloom": "is not the softmax of q . k"}  # ALiBi


def ingest(folder):
    file = folder + ".duckdb"
    run("ingest", "--activations", folder, "-o", file)
    return file


def known(path, head, work):
    load = lambda: AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(path)
    bridge = lambda: TransformerBridge.boot_transformers(path, hf_model=load(), tokenizer=tokenizer, device="cpu")
    at = lambda name: os.path.join(work, name)
    ducklens.capture(load(), PROMPTS, [head], at("plain"), tokenizer)
    ducklens.capture(bridge(), PROMPTS, [head], at("bridge"))
    for name in sorted(os.listdir(at("plain"))):
        if name.endswith(".safetensors"):
            one, two = (load_file(os.path.join(at(f), name)) for f in ("plain", "bridge"))
            assert one.keys() == two.keys(), (one.keys(), two.keys())
            for key in one:
                torch.testing.assert_close(one[key], two[key], rtol=0, atol=0)
    one, two = (json.load(open(os.path.join(at(f), "run.json"))) for f in ("plain", "bridge"))
    assert one["model"]["sha256"] == two["model"]["sha256"] and one["components"] == two["components"]

    Bridge(torch, bridge(), tokenizer, "processed", None, None).write(PROMPTS, [head], at("hooks"), 8, 64, None)
    processed = bridge()
    processed.enable_compatibility_mode(disable_warnings=True)
    ducklens.capture(processed, PROMPTS, [head], at("processed"), form="parts")
    plain = ingest(at("plain"))
    for name in ("hooks", "processed"):
        file = ingest(at(name))
        worst, faults = compare(plain, file, TOLERANCE["float32"])
        print(f"{path} {name}: largest difference {worst[0]:.1e} ({worst[1]}), closure {closure(file):.1e}", *faults[:6], sep="\n    ", flush=True)
        assert not faults


def unknown(kind, work):
    torch.manual_seed(3)
    config = AutoConfig.for_model(kind, **TYPES[kind])
    model = AutoModelForCausalLM.from_config(config).eval().float()
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(work)
    with torch.no_grad():
        for p in model.parameters():  # biases and gains too, which begin as 0 and 1
            p.add_(torch.randn_like(p) * 0.05)
    bridge = TransformerBridge.boot_transformers(work, hf_model=model, tokenizer=AutoTokenizer.from_pretrained(os.environ["DUCKLENS_TOKENIZER"]), device="cpu")
    for form, processing in (("vectors", "raw"), ("parts", "processed")):
        folder = os.path.join(work, form)
        try:
            ducklens.capture(bridge, PROMPTS, ["2.1", "1.3"], folder, form=form, processing=processing)
        except ValueError as err:
            assert REFUSED.get(kind, "nothing") in str(err), err
            print(f"{kind}: refused, {err}", flush=True)
            return
        assert kind not in REFUSED, f"{kind} was not refused"
        file = ingest(folder)
        print(f"{kind} {form} {processing}: closure {closure(file):.1e}", flush=True)


def main():
    what = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        if what and os.path.isdir(what[0]):
            return known(*what, work)
        for kind in what or TYPES:
            os.mkdir(os.path.join(work, kind))
            unknown(kind, os.path.join(work, kind))


main()
