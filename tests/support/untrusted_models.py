"""Model folders from strangers: the tiny model, changed in one way each, and a file that code of theirs would leave."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file

Change = Callable[[Path], None]
WEIGHT = "model.layers.1.mlp.down_proj.weight"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"


def said(name: str, **values: Any) -> Change:
    """Keys put into a JSON file of the folder."""

    def change(folder: Path) -> None:
        path = folder / name
        content = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(content | values))

    return change


def code(name: str, *changes: Change) -> Change:
    """A Python file that leaves a mark beside the folder when it is imported, and what names it."""

    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(mark(folder))!r}, 'w').close()\nclass Theirs:\n    pass\n")
        for one in changes:
            one(folder)

    return change


def mark(folder: Path) -> Path:
    """What code of a folder would leave."""
    return folder.with_name(f"{folder.name}-ran")


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    """The weights, changed in place."""

    def changed(folder: Path) -> None:
        path = folder / "model.safetensors"
        held = load_file(path)
        change(held)
        save_file(held, path, metadata={"format": "pt"})

    return changed


def written(name: str, content: str | bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def without(*names: str) -> Change:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def pipe(name: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return change


def linked(name: str, place: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(place)

    return change


def copied(name: str, other: str) -> Change:
    return lambda folder: shutil.copy(folder / name, folder / other)


def indexed(*files: str) -> Change:
    """An index in place of the one file, that puts each tensor into the given files in turn."""

    def change(folder: Path) -> None:
        held = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").rename(folder.with_name("elsewhere.safetensors"))
        mapping = {name: files[n % len(files)] for n, name in enumerate(held)}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": mapping}))

    return change


def both(*changes: Change) -> Change:
    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def narrowed(kind: torch.dtype) -> Change:
    return tensors(lambda held: held.update({WEIGHT: held[WEIGHT].to(kind)}))


def more(name: str, *shape: int) -> Change:
    return tensors(lambda held: held.update({name: torch.ones(shape)}))


THEIRS = {"AutoTokenizer": ["theirs.Theirs", None]}
CODE: dict[str, Change] = {
    "a tokenizer": code("theirs.py", said("tokenizer_config.json", tokenizer_class="Theirs", auto_map=THEIRS)),
    "a tokenizer in a list": code("theirs.py", said("tokenizer_config.json", auto_map=["theirs.Theirs", None])),
    "a tokenizer of a known name": code(
        "tokenization_x.py",
        said("tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_x.LlamaTokenizer", None]}),
    ),
    "a tokenizer's class alone": code("theirs.py", said("tokenizer_config.json", tokenizer_class="Theirs")),
    "an architecture of their own": code(
        "theirs.py", said("config.json", model_type="theirs", auto_map={"AutoConfig": "theirs.Theirs"})
    ),
    "a declared architecture": code(
        "theirs.py", said("config.json", auto_map={"AutoModelForCausalLM": "theirs.Theirs"})
    ),
    "a class of transformers' name": code(
        "modeling_llama.py", said("config.json", auto_map={"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"})
    ),
    "a part of a configuration": code(
        "theirs.py", said("config.json", text_config={"auto_map": {"AutoConfig": "theirs.Theirs"}})
    ),
    "another repository": said("config.json", auto_map={"AutoConfig": "org/other--configuration_llama.LlamaConfig"}),
    "a generation configuration": code(
        "theirs.py", said("generation_config.json", auto_map={"AutoModel": "theirs.Theirs"})
    ),
    "a processor": code("theirs.py", said("processor_config.json", auto_map={"AutoProcessor": "theirs.Theirs"})),
    "a way to generate": code("custom_generate/generate.py"),
    "a pipeline": code("theirs.py", said("config.json", custom_pipelines={"x": {"impl": "theirs.Theirs"}})),
    "a kernel": said("config.json", attn_implementation="org/kernel"),
    "a kernel in a part": said("config.json", text_config={"_attn_implementation": {"": "org/kernel"}}),
}
"""Every way in which a folder asks for code."""

KEPT_OUT: dict[str, tuple[Change, str]] = {
    "an adapter beside": (
        both(
            said("adapter_config.json", base_model_name_or_path="org/base"),
            copied("model.safetensors", "adapter_model.safetensors"),
        ),
        "org/base",
    ),
    "tensors of an adapter": (more("model.layers.1.mlp.down_proj.lora_A.default.weight", 4, 64), "lora_A"),
    "scales": (more(f"{WEIGHT}_scale", 1), "weight_scale"),
    "a layer too many": (more("model.layers.9.mlp.down_proj.weight", 32, 64), "layers.9"),
    "a head of another kind": (more("score.weight", 2, 32), "score.weight"),
    "float8": (narrowed(torch.float8_e4m3fn), "F8_E4M3"),
    "whole numbers": (narrowed(torch.int8), "I8"),
    "GPTQ": (said("config.json", quantization_config={"quant_method": "gptq", "bits": 4}), "gptq"),
    "bitsandbytes": (said("config.json", quantization_config={"load_in_4bit": True}), "packed"),
    "modelopt in a part": (said("config.json", text_config={"quantization_config": {"quant_algo": "FP8"}}), "FP8"),
    "modelopt in a file": (said("hf_quant_config.json", quantization={}), "packed"),
    "a shard that nothing names": (copied("model.safetensors", "model-00002-of-00002.safetensors"), "00002"),
    "two formats of weights": (
        said("model.safetensors.index.json", weight_map={"a": "model-00001-of-00001.safetensors"}),
        "both",
    ),
    "one tensor in two files": (
        both(
            indexed("a.safetensors", "b.safetensors"),
            lambda folder: shutil.copy(folder.with_name("elsewhere.safetensors"), folder / "a.safetensors"),
            lambda folder: shutil.copy(folder.with_name("elsewhere.safetensors"), folder / "b.safetensors"),
        ),
        "both hold",
    ),
    "a path in an index": (indexed("../elsewhere.safetensors"), "no name"),
    "a whole path in an index": (
        lambda folder: indexed(str(folder.with_name("elsewhere.safetensors")))(folder),
        "no name",
    ),
    "weights elsewhere": (said("config.json", transformers_weights="../elsewhere.safetensors"), "transformers_weights"),
    "a pickle alone": (
        both(without("model.safetensors"), written("pytorch_model.bin", b"\x80\x04.")),
        "pytorch_model.bin is a pickle",
    ),
    "no tokenizer": (without("tokenizer.json"), "tokenizer.json"),
    "a slow tokenizer alone": (both(without("tokenizer.json"), written("tokenizer.model", b"x")), "fast tokenizer"),
    "a tokenizer's file elsewhere": (
        both(
            lambda folder: shutil.move(folder / "tokenizer.json", folder.with_name("outside.json")),
            lambda folder: said("tokenizer_config.json", tokenizer_file=str(folder.with_name("outside.json")))(folder),
        ),
        "no tokenizer files",
    ),
    "a pointer for weights": (written("model.safetensors", POINTER), "git lfs pull"),
    "a pointer for a tokenizer": (written("tokenizer.json", POINTER), "git lfs pull"),
    "a pointer for a configuration": (written("config.json", POINTER), "git lfs pull"),
    "a pipe for weights": (pipe("model.safetensors"), "regular file"),
    "a pipe for a configuration": (pipe("config.json"), "regular file"),
    "a pipe for a tokenizer": (pipe("tokenizer.json"), "regular file"),
    "a device": (linked("tokenizer.json", "/dev/zero"), "regular file"),
    "a header without an end": (written("model.safetensors", (2**60).to_bytes(8, "little") + b"{}"), "safetensors"),
    "nested without an end": (written("config.json", '{"a":' * 100_000), "config.json"),
    "a nested tokenizer": (written("tokenizer.json", '{"a":' * 100_000), "tokenizer"),
    "a billion layers": (said("config.json", num_hidden_layers=10**9), "num_hidden_layers"),
    "a billion labels": (said("config.json", num_labels=10**9), "num_labels"),
    "a huge vocabulary": (said("config.json", vocab_size=10**12), "vocab_size"),
    "shapes of another model": (
        both(
            said("config.json", hidden_size=2**14, vocab_size=2**20),
            tensors(lambda held: [held.pop(name) for name in list(held) if name != "model.norm.weight"]),
        ),
        "config.json asks for",
    ),
    "a tokenizer of other keys": (written("tokenizer.json", "{}"), "tokenizer"),
    "an added token of a wrong type": (said("tokenizer_config.json", added_tokens_decoder={"x": 3}), "tokenizer"),
    "a list for a configuration": (written("tokenizer_config.json", "[]"), "no JSON object"),
    "a generation configuration of wrong types": (said("generation_config.json", watermarking_config=3), "model"),
}
"""What a folder must not hold, each with a word of the refusal."""

LEFT_ALONE: dict[str, Change] = {
    "nothing": lambda _folder: None,
    "a publisher's second copy": copied("model.safetensors", "consolidated.safetensors"),
    "pickles beside": both(written("pytorch_model.bin", b"\x80\x04."), written("training_args.bin", b"\x80\x04.")),
    "a distributed checkpoint beside": both(written(".metadata", b"\x80\x04."), written("__0_0.distcp", b"")),
    "rotary tables": more("model.layers.0.self_attn.rotary_emb.inv_freq", 4),
    "names of other places": said("config.json", _name_or_path="/etc", base_model_name_or_path="org/base"),
    "paths of the machine that saved it": said(
        "tokenizer_config.json", special_tokens_map_file="/saved/x", tokenizer_file="/saved/y", name_or_path="/saved/z"
    ),
    "code that transformers has taken over": said(
        "config.json", auto_map={"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"}
    ),
    "a template": written("chat_template.jinja", "{{ ''.__class__.__mro__ }}"),
    "a pipe that nobody reads": pipe("tokenizer.fifo"),
    "a link to a file elsewhere": lambda folder: (
        (folder / "config.json").rename(folder.with_name("config.json")),
        (folder / "config.json").symlink_to(folder.with_name("config.json")),
    )[-1],
}
"""What changes nothing: the controls."""


def gguf_file(path: Path, *extra: str, parts: int = 0) -> Path:
    """A Llama of one layer as a GGUF file, with more tensors where named; `parts`: as one of so many."""
    tokens = [*"abcdefghijklmnop", "ab", "cd", "ef", "<|endoftext|>"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_token_merges(["a b", "c d", "e f"])
    writer.add_bos_token_id(19)
    if parts:
        writer.add_uint16("split.count", parts)
    random = np.random.RandomState(0)
    layer = {"attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32), "attn_output": (32, 32), "attn_norm": (32,),
             "ffn_gate": (64, 32), "ffn_up": (64, 32), "ffn_down": (32, 64), "ffn_norm": (32,)}  # fmt: skip
    shapes = {"token_embd.weight": (len(tokens), 32), "output_norm.weight": (32,), "output.weight": (len(tokens), 32)}
    shapes |= {f"blk.0.{name}.weight": shape for name, shape in layer.items()} | dict.fromkeys(extra, (4, 4))
    for name, shape in shapes.items():
        writer.add_tensor(name, random.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
