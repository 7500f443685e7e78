"""The sentences that the demo model learns from, and those it is tested on.

Templates have the slots [A] (the indirect object, IO), [B] (the subject, S), [C], [D] (other names of the
sentence), [N], [M] (somebody new), [PLACE] and [OBJECT]. Names and most templates are those of ducklens's own
IOI prompts (ioi.json); templates.json has more."""

import json
import random
import re

SLOT = re.compile(r"\[[A-Z]+\]")
PIECE = re.compile(r" ?[A-Za-z]+|[^A-Za-z ]")  # as in ../generate: what is one token
NAMES = ("[A]", "[B]", "[C]", "[D]", "[N]", "[M]")

# The mixture: what share of the sentences is of which kind.
SHARES = {"two": 0.62, "three": 0.20, "other": 0.12, "new": 0.06}
OPENER = 0.4  # share of the sentences that come after another one, about other people
CROSSED = 0.7  # share of the sentences about two people that have the beginning of one template and the end of another
CHAIN = 0.2  # share of the texts that are chains instead: short sentences about the same two people
HELD_OUT_PAIRS = 10  # one pair of names in so many is held out


class Tokens:
    """The vocabulary, for texts of which every word is one token."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            self.ids = json.load(f)
        self.end = self.ids["<|endoftext|>"]

    def encode(self, text):
        return [self.ids[piece.replace(" ", "\u0120")] for piece in PIECE.findall(text)]

    def name(self, name):
        return self.ids["\u0120" + name]


class Sentences:
    """Draws sentences."""

    def __init__(self, ioi_path, templates_path):
        with open(ioi_path, encoding="utf-8") as f:
            ioi = json.load(f)
        with open(templates_path, encoding="utf-8") as f:
            self.more = json.load(f)
        held_out = self.more.pop("held_out")
        self.test_templates = [ioi["templates"][i] for i in held_out]
        self.trained_templates = [t for i, t in enumerate(ioi["templates"]) if i not in held_out]
        self.two = self.trained_templates + self.more["two"]
        self.beginnings, self.ends = zip(*map(halves, self.two))
        self.names, self.places, self.objects = ioi["names"], ioi["places"], ioi["objects"]
        self.index = {name: i for i, name in enumerate(self.names)}
        trained = self.two + self.more["three"] + self.more["other"] + self.more["openers"]
        known = {word for t in trained for word in re.findall("[a-z]+", SLOT.sub("", t).lower())}
        for t in self.test_templates:
            unknown = set(re.findall("[a-z]+", SLOT.sub("", t).lower())) - known
            assert not unknown, f"{t!r} has words that are in no other template: {unknown}"

    def held_out(self, first, second):
        """Tells whether two names never stand in the same training text."""
        i, j = sorted((self.index[first], self.index[second]))
        return (7 * i + 3 * j) % HELD_OUT_PAIRS == 0

    def fill(self, rng, template, names):
        """Fills the slots; a place or object that occurs twice is the same."""
        values = dict(names, **{"[PLACE]": rng.choice(self.places), "[OBJECT]": rng.choice(self.objects)})
        return SLOT.sub(lambda m: values[m.group()], template)

    def training(self, rng, chain=CHAIN):
        """One training text."""
        if rng.random() < chain:
            return self.chain(rng)
        kind = rng.choices(list(SHARES), SHARES.values())[0]
        if kind in ("two", "new"):
            template = (
                rng.choice(self.beginnings) + rng.choice(self.ends)
                if rng.random() < CROSSED
                else rng.choice(self.two)
            )
        else:
            template = rng.choice(self.more[kind])
        template = shuffle_first(rng, template)
        if kind == "new":  # instead of the indirect object, somebody who was not there
            template = template.removesuffix("[A]") + "[N]"
        while True:
            chosen = dict(zip(NAMES, rng.sample(self.names, len(NAMES))))
            opener = ""
            if rng.random() < OPENER:
                opener = (
                    self.fill(
                        rng,
                        rng.choice(self.more["openers"]),
                        dict(zip(("[C]", "[D]"), rng.sample(self.names, 2))),
                    )
                    + ". "
                )
            text = opener + self.fill(rng, template, chosen) + "."
            if self.allowed(text):
                return text

    def chain(self, rng):
        """Two to five short sentences about the same two people, or the first one or two about two others."""
        while True:
            pairs = [rng.sample(self.names, 2) for _ in range(2)]
            others = rng.choice((0, 0, 0, 1))
            text = ""
            for i, template in enumerate(rng.sample(self.more["chain"], others + rng.randint(2, 3))):
                people = pairs[i < others]
                text += self.fill(rng, template, dict(zip(("[A]", "[B]"), rng.sample(people, 2)))) + ". "
            if self.allowed(text):
                return text[:-1]

    def allowed(self, text):
        """Tells whether no two names of a text are a held-out pair."""
        present = {name for name in re.findall("[A-Z][a-z]+", text) if name in self.index}
        return not any(self.held_out(x, y) for x in present for y in present if x != y)

    def test(self, rng, templates, held_out_pair=True):
        """One test prompt, up to the token before the answer: text, IO, S."""
        template = rng.choice(templates)
        if rng.random() < 0.5:
            template = exchange_first(template)
        while True:
            io, s = rng.sample(self.names, 2)
            if self.held_out(io, s) == held_out_pair:
                return self.fill(rng, template, {"[A]": io, "[B]": s}).removesuffix(" " + io), io, s


def halves(template):
    """Cuts a template before the clause in which [B] comes last: in front of it the two people have been
    named, after it comes [A]."""
    last = template.rindex("[B]")
    cut = max(template.rfind(mark, 0, last) for mark in (", ", ". "))
    if cut < 0 or not {"[A]", "[B]"} <= set(SLOT.findall(template[:cut])):
        cut = template.rindex(" ", 0, last)  # one clause
    return template[:cut], template[cut:]


def exchange_first(template):
    """Exchanges the first mention of [A] with the first mention of [B]: ABBA becomes BABA."""
    a, b = template.index("[A]"), template.index("[B]")
    out = list(template)
    out[a + 1], out[b + 1] = "B", "A"
    return "".join(out)


def shuffle_first(rng, template):
    """Exchanges the first mentions of [A], [B] and [C] in a random way."""
    slots = [s for s in ("[A]", "[B]", "[C]") if s in template]
    places = [template.index(s) for s in slots]
    out = list(template)
    for place, slot in zip(places, rng.sample(slots, len(slots))):
        out[place + 1] = slot[1]
    return "".join(out)


def batches(sentences, tokens, rng, size, steps, pool=16):
    """Yields steps lists of size token lists: <|endoftext|>, text, <|endoftext|>. Texts of similar length go
    together.

    Chains, in which most names are to be copied, are what a model learns to copy from: in the first three
    tenths of the steps there is nothing else, and from the middle on they have their share."""
    for step in range(0, steps, pool):
        chain = min(1, max(CHAIN, 1 - (1 - CHAIN) * (5 * step / steps - 1.5)))
        texts = [
            [tokens.end] + tokens.encode(sentences.training(rng, chain)) + [tokens.end]
            for _ in range(size * pool)
        ]
        texts.sort(key=len)
        groups = [texts[i : i + size] for i in range(0, len(texts), size)]
        rng.shuffle(groups)
        yield from groups[: steps - step]


def landmarks(ids, names):
    """Where things are in a text that ends with a name it has had before, and a full stop: END (the position
    before that name), IO (its first mention), S2 (the last mention of anybody else before END) and S1 (the
    first mention of S2's name). None for other texts, or if S2 is new."""
    at = [i for i, token in enumerate(ids) if token in names]
    if len(at) < 4 or at[-1] != len(ids) - 3:
        return None
    end = at.pop() - 1
    io = ids.index(ids[end + 1])
    s2 = max((i for i in at if ids[i] != ids[io]), default=None)
    if io > end or s2 is None or ids.index(ids[s2]) == s2:
        return None
    return end, io, s2, ids.index(ids[s2])


def sample(sentences, tokens, seed, templates, n=500, held_out_pair=True):
    """n test prompts: (ids with <|endoftext|> in front, id of IO, id of S)."""
    rng = random.Random(seed)
    out = []
    for _ in range(n):
        text, io, s = sentences.test(rng, templates, held_out_pair)
        out.append(([tokens.end] + tokens.encode(text), tokens.name(io), tokens.name(s)))
    return out
