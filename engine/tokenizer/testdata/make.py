"""Makes nodes.json: small tokenizers that between them have every node that is read, and the ids that Hugging Face's tokenizers
gives for texts that break tokenizers. The words are the project's own.

usage: python3 make.py (needs tokenizers==0.23.3; a second run gives the same bytes)
"""
import json, os
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "When Mary and John went to the store, John gave a drink to Mary.",
    "The ducks' lens won't show what the ducks see; it's 1234 or 56 of them, we'll say.",
    "A Lens looks At the CamelCase of HTTPServer, and at 7 and 42 again and again.",
    "  two blanks,\n\n\ttabs and lines\r\n  of   blanks    that end   ",
    "Ça va très bien à Zürich, Ελλάδα и Москва, 中文字 and 日本 too.",
] * 4
TEXTS = [
    "", " ", "Mary", " Mary", "  Mary and  John ", "When Mary and John went", "John's ducks'll say we're they'VE 'S",
    "a\n\nb\n \n c", "\t\ttabs\r\n\r\nend  ", "12345 6 7890 ½²Ⅷ①٣ 一二三", "CamelCase HTTPServer ABC abc ABc", "...!?-- //\n\n/ $x+y=<z>",
    "très tre\u0300s ạ̈ \u0344 가 \u1100\u1161", "İSTANBUL Straße ΣΑΣ ﬁ ™ K", "中文字日本 и Москва",
    "x<s>y", "<s>", "x <ab><cd>y <ab> z", "Mary<lft> a <rgt>  b  <bth>  c", "zork zorks azork zork_ é zork", "the   store   ",
    "▁▁ and ▁", "\u00a0\u3000\u2028\u200b\ufeff", "🦆🦆 👍🏽", "\x00\x7f\u0085", "<0x41><unk>",
]
BYTES = [f"<0x{b:02X}>" for b in range(256)]
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
POSSESSIVE = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"

N, P, D, X = normalizers, pre_tokenizers, decoders, processors
split = lambda pattern, behavior="isolated", invert=False: P.Split(pattern, behavior, invert)
byte_level = lambda space=False, regex=False: P.ByteLevel(add_prefix_space=space, use_regex=regex)
spm = dict(byte_fallback=True, fuse_unk=True, unk="<unk>")

# name: (normalizer, pre-tokenizer, model, size)
KINDS = {
    "gpt2": (None, byte_level(regex=True), {}, 330),
    "prefix-space": (N.NFKC(), byte_level(space=True, regex=True), {}, 330),
    "digits": (None, P.Sequence([P.Digits(True), byte_level(regex=True)]), {}, 330),
    "qwen": (N.NFC(), P.Sequence([split(Regex(QWEN)), byte_level()]), {}, 330),
    "qwen-removed": (N.NFC(), P.Sequence([split(Regex(QWEN), "removed", True), byte_level()]), dict(ignore_merges=True), 330),
    "o200k": (None, P.Sequence([split(Regex(O200K)), byte_level()]), dict(ignore_merges=True), 330),
    "possessive": (None, P.Sequence([split(Regex(POSSESSIVE)), byte_level()]), {}, 330),
    "falcon": (None, P.Sequence([P.Punctuation("contiguous"), byte_level(regex=True), P.Digits(False), split(Regex("[0-9][0-9][0-9]"))]), {}, 330),
    "behaviors": (N.NFD(), P.Sequence([split(" ", "merged_with_next"), split(Regex(r"\p{Lu}+"), "contiguous", True), split("e", "merged_with_previous"), byte_level()]), {}, 330),
    "words": (N.Sequence([N.NFKD(), N.Lowercase()]), P.Sequence([P.Whitespace(), P.WhitespaceSplit()]), dict(unk="<unk>"), 200),
    "llama": (N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), None, spm, 420),
    "gemma": (N.Replace(" ", "▁"), split(" ", "merged_with_previous"), spm, 420),
    "metaspace": (None, P.Metaspace("▁", "first", True), dict(unk="<unk>", fuse_unk=False), 200),
    "metaspace-always": (N.Replace(Regex(r"\s{2,}"), " "), P.Metaspace("▁", "always", False), spm, 420),
}
ADDED = [
    AddedToken("<s>", special=True, normalized=False), AddedToken("</s>", special=True, normalized=False),
    AddedToken("<lft>", lstrip=True, normalized=False), AddedToken("<rgt>", rstrip=True, normalized=False),
    AddedToken("<bth>", lstrip=True, rstrip=True, normalized=True), AddedToken("zork", single_word=True, normalized=False),
    AddedToken("<ab>", normalized=False), AddedToken("<ab><cd>", normalized=False), AddedToken("   ", normalized=True),
    AddedToken("Straße", single_word=True, normalized=True),
]


def make(name, normalizer, pre_tokenizer, model, size):
    model = dict(model)
    unk = model.pop("unk", None)
    tok = Tokenizer(models.BPE(unk_token=unk, **model))
    if normalizer:
        tok.normalizer = normalizer
    if pre_tokenizer:
        tok.pre_tokenizer = pre_tokenizer
    bytes_level = "ByteLevel" in tok.to_str()
    special = ([unk] if unk else []) + (BYTES if model.get("byte_fallback") else [])
    alphabet = [c for c in sorted(P.ByteLevel.alphabet()) if name != "digits" or c not in "Čõö"] if bytes_level else []
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False))
    file = json.loads(tok.to_str())
    file["added_tokens"] = [a for a in file["added_tokens"] if not a["content"].startswith("<0x")]
    tok = Tokenizer.from_str(json.dumps(file))
    if name not in ("gpt2", "possessive"):
        tok.add_tokens(ADDED)
        start, end = [(t, tok.token_to_id(t)) for t in ("<s>", "</s>")]
        tok.post_processor = {
            "llama": X.TemplateProcessing("<s> $A", special_tokens=[start]),
            "gemma": X.TemplateProcessing("<s> $A </s>", special_tokens=[start, end]),
            "words": X.RobertaProcessing(end, start),
            "o200k": X.Sequence([X.ByteLevel(trim_offsets=False), X.TemplateProcessing("<s> $A", special_tokens=[start])]),
        }.get(name, X.ByteLevel(trim_offsets=False) if bytes_level else X.TemplateProcessing("$A", special_tokens=[]))
    tok.decoder = D.ByteLevel() if bytes_level else D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse()])
    if name == "metaspace":
        tok.decoder = D.Metaspace("▁", "first", True)
    file = json.loads(tok.to_str())
    if name == "llama":  # merges as texts, as before tokenizers 0.20
        file["model"]["merges"] = [" ".join(m) for m in file["model"]["merges"]]
    tok = Tokenizer.from_str(json.dumps(file))
    texts = []
    for text in TEXTS:
        ids, special = tok.encode(text, add_special_tokens=False).ids, tok.encode(text).ids
        texts.append(dict(text=text, ids=ids, **({} if ids == special else dict(ids_special=special))))
    return dict(tokenizer=file, texts=texts)


out = {name: make(name, *kind) for name, kind in KINDS.items()}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nodes.json")
with open(path, "w", encoding="utf-8") as f:
    f.write("{\n" + ",\n".join(f"{json.dumps(n)}: {json.dumps(t, ensure_ascii=False, separators=(',', ':'))}" for n, t in out.items()) + "\n}\n")
