"""Times forward passes of a GGUF model in transformers on torch; cli/smollm2/peers runs it.

Arguments: FOLDER FILE.gguf PROMPTS THREADS BATCH. PROMPTS is a JSON file: a list of {"tokens": [...],
"key": id}. The model is loaded once. Then each line of standard input asks for one pass over all
prompts, padded in batches, with the logits of the last position alone; each is answered by a line of
JSON with its seconds, those of the clock and of all processors, and with the logit of each prompt's key.
"""

import json
import sys
import time

import torch
import transformers
from transformers import AutoModelForCausalLM

folder, name, prompts, threads, batch = sys.argv[1:]
torch.set_num_threads(int(threads))
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
with open(prompts) as f:
    prompts = json.load(f)
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()


def padded(lists):
    """Token ids, padded on the left so that the last position is the last token, and their mask."""
    length = max(map(len, lists))
    ids = torch.tensor([[0] * (length - len(x)) + x for x in lists])
    mask = torch.tensor([[0] * (length - len(x)) + [1] * len(x) for x in lists])
    return ids, mask, (mask.cumsum(1) - 1).clamp(min=0)


texts, keys = [x["tokens"] for x in prompts], torch.tensor([x["key"] for x in prompts])
batches = [padded(texts[i : i + int(batch)]) for i in range(0, len(texts), int(batch))]


@torch.inference_mode()
def run():
    start, busy = time.perf_counter(), time.process_time()
    logits = [
        model(
            input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False, logits_to_keep=1
        ).logits[:, -1]
        for ids, mask, places in batches
    ]
    return {"seconds": time.perf_counter() - start, "processor": time.process_time() - busy}, torch.cat(
        logits
    )


versions = f"transformers {transformers.__version__} on torch {torch.__version__}"
print(json.dumps({"versions": versions, "padded": max(map(len, texts))}), flush=True)
for _ in sys.stdin:
    took, logits = run()
    print(json.dumps({"took": took, "logits": logits.gather(1, keys[:, None])[:, 0].tolist()}), flush=True)
