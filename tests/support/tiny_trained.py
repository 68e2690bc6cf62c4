"""A tiny world whose model knows its facts: a GPT-NeoX trained in seconds on sentences about made-up people.

Every person lives in a city and speaks a language. Texts of a few sentences state both, in three wordings each.
The model memorises all of them. The corpus is only about people without a request, so edits do not contradict it.
Facts can therefore be edited and the edits measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from support.tiny_world import FILLER, World, write_lines

PEOPLE, EDITED, OBJECTS = 72, 50, 6
RELATIONS = {
    "city": ("{} lives in", "the home of {} is", "you can visit {} in"),
    "language": ("{} speaks", "the language of {} is", "at home {} says it in"),
}
OPENINGS = ("it is known that", "I think", "they say", "today", "")
WORDS = sorted({word for text in (*sum(RELATIONS.values(), ()), *OPENINGS) for word in text.split()} - {"{}"})
NAMES = FILLER[:PEOPLE]
ANSWERS = {name: FILLER[PEOPLE + OBJECTS * n :][:OBJECTS] for n, name in enumerate(RELATIONS)}
VOCABULARY = ["<unk>", ".", *WORDS, *NAMES, *(answer for some in ANSWERS.values() for answer in some)]
SENTENCES, STEPS, ROWS, WINDOW = 8, 320, 24, 32


def make(folder: Path) -> World:
    """Write model, corpus and requests into a folder."""
    world = World(folder)
    random = np.random.RandomState(5)
    known = {name: dict(zip(NAMES, random.choice(some, PEOPLE), strict=True)) for name, some in ANSWERS.items()}
    tokenizer = _tokenizer()
    _train(tokenizer, known, random).save_pretrained(world.model)
    tokenizer.save_pretrained(world.model)
    rows = [{"id": f"d{n}", "title": f"Text {n}", "text": _text(known, random, NAMES[EDITED:], 12)} for n in range(120)]
    write_lines(world.corpus, rows)
    write_lines(world.facts, records(known, random))
    return world


def records(known: dict[str, dict[str, str]], random: Any, people: int = EDITED) -> list[dict[str, Any]]:
    """Requests in CounterFact's format: one for each of the first people, and a second one for every tenth."""
    asked = [(name, n % 2) for n, name in enumerate(NAMES[:people])]
    asked += [(name, 1 - n % 2) for n, name in enumerate(NAMES[:people]) if n % 10 == 0]
    rows = []
    for case, (name, which) in enumerate(asked):
        relation = list(RELATIONS)[which]
        prompt, *others = RELATIONS[relation]
        true = known[relation][name]
        new = random.choice([answer for answer in ANSWERS[relation] if answer != true])
        near = [other for other in NAMES[people:] if known[relation][other] == true][:4]
        rewrite = {"prompt": prompt, "subject": name, "target_true": {"str": true}, "target_new": {"str": str(new)}}
        rows.append({
            "case_id": case, "relation": relation, "requested_rewrite": rewrite,
            "paraphrase_prompts": [other.replace("{}", name) for other in others],
            "neighborhood_prompts": [prompt.replace("{}", other) for other in near],
        })  # fmt: skip
    return rows


def _text(known: dict[str, dict[str, str]], random: Any, names: Sequence[str], sentences: int = SENTENCES) -> str:
    return " ".join(_sentence(known, random, names) for _ in range(sentences))


def _sentence(known: dict[str, dict[str, str]], random: Any, names: Sequence[str]) -> str:
    relation, name = list(RELATIONS)[random.randint(len(RELATIONS))], names[random.randint(len(names))]
    wording = RELATIONS[relation][random.randint(3)].replace("{}", name)
    return f"{OPENINGS[random.randint(len(OPENINGS))]} {wording} {known[relation][name]} .".strip()


def _tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with one token per word."""
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def _train(tokenizer: Any, known: dict[str, dict[str, str]], random: Any) -> GPTNeoXForCausalLM:
    """A model with three layers of width 64, trained on every fact in every wording by next-token prediction."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = GPTNeoXForCausalLM(GPTNeoXConfig(
            vocab_size=len(VOCABULARY), hidden_size=64, intermediate_size=128, num_hidden_layers=3,
            num_attention_heads=4, max_position_embeddings=256, bos_token_id=None, eos_token_id=None,
            hidden_dropout=0.0, attention_dropout=0.0,
        ))  # fmt: skip
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    vocabulary = tokenizer.get_vocab()
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=STEPS)
    model.train()
    for _ in range(STEPS):
        texts = [_text(known, random, NAMES).split()[:WINDOW] for _ in range(ROWS)]
        ids = torch.tensor([[vocabulary[word] for word in text] for text in texts])
        optimiser.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
        schedule.step()
    return model
