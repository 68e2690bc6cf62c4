"""Untrusted model folders: the tiny model with one change each, and the trace that foreign code would leave."""

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


def set_keys(name: str, **values: Any) -> Change:
    """Set keys of a JSON file in the folder."""

    def change(folder: Path) -> None:
        path = folder / name
        content = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(content | values))

    return change


def add_code(name: str, *changes: Change) -> Change:
    """Add a Python file that leaves a trace when it is imported, and apply the changes that refer to it."""

    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(mark(folder))!r}, 'w').close()\nclass Theirs:\n    pass\n")
        for one in changes:
            one(folder)

    return change


def mark(folder: Path) -> Path:
    """The file that code in a folder would create."""
    return folder.with_name(f"{folder.name}-ran")


def change_tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    """Change the weights."""

    def changed(folder: Path) -> None:
        path = folder / "model.safetensors"
        held = load_file(path)
        change(held)
        save_file(held, path, metadata={"format": "pt"})

    return changed


def write_file(name: str, content: str | bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def delete_files(*names: str) -> Change:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def make_pipe(name: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return change


def make_link(name: str, place: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(place)

    return change


def copy_file(name: str, other: str) -> Change:
    return lambda folder: shutil.copy(folder / name, folder / other)


def split_by_index(*files: str) -> Change:
    """Replace the weights file by an index that assigns the tensors to the given files in turn."""

    def change(folder: Path) -> None:
        held = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").rename(folder.with_name("elsewhere.safetensors"))
        mapping = {name: files[n % len(files)] for n, name in enumerate(held)}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": mapping}))

    return change


def combine(*changes: Change) -> Change:
    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def cast_weight(kind: torch.dtype) -> Change:
    return change_tensors(lambda held: held.update({WEIGHT: held[WEIGHT].to(kind)}))


def add_tensor(name: str, *shape: int) -> Change:
    return change_tensors(lambda held: held.update({name: torch.ones(shape)}))


THEIRS = {"AutoTokenizer": ["theirs.Theirs", None]}
CODE: dict[str, Change] = {
    "a tokenizer": add_code("theirs.py", set_keys("tokenizer_config.json", tokenizer_class="Theirs", auto_map=THEIRS)),
    "a tokenizer in a list": add_code("theirs.py", set_keys("tokenizer_config.json", auto_map=["theirs.Theirs", None])),
    "a tokenizer of a known name": add_code(
        "tokenization_x.py",
        set_keys("tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_x.LlamaTokenizer", None]}),
    ),
    "a tokenizer's class alone": add_code("theirs.py", set_keys("tokenizer_config.json", tokenizer_class="Theirs")),
    "an architecture of their own": add_code(
        "theirs.py", set_keys("config.json", model_type="theirs", auto_map={"AutoConfig": "theirs.Theirs"})
    ),
    "a declared architecture": add_code(
        "theirs.py", set_keys("config.json", auto_map={"AutoModelForCausalLM": "theirs.Theirs"})
    ),
    "a class of transformers' name": add_code(
        "modeling_llama.py",
        set_keys("config.json", auto_map={"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"}),
    ),
    "a part of a configuration": add_code(
        "theirs.py", set_keys("config.json", text_config={"auto_map": {"AutoConfig": "theirs.Theirs"}})
    ),
    "another repository": set_keys(
        "config.json", auto_map={"AutoConfig": "org/other--configuration_llama.LlamaConfig"}
    ),
    "a generation configuration": add_code(
        "theirs.py", set_keys("generation_config.json", auto_map={"AutoModel": "theirs.Theirs"})
    ),
    "a processor": add_code(
        "theirs.py", set_keys("processor_config.json", auto_map={"AutoProcessor": "theirs.Theirs"})
    ),
    "a way to generate": add_code("custom_generate/generate.py"),
    "a pipeline": add_code("theirs.py", set_keys("config.json", custom_pipelines={"x": {"impl": "theirs.Theirs"}})),
    "a kernel": set_keys("config.json", attn_implementation="org/kernel"),
    "a kernel in a part": set_keys("config.json", text_config={"_attn_implementation": {"": "org/kernel"}}),
}
"""Every way in which a folder can refer to code."""

KEPT_OUT: dict[str, tuple[Change, str]] = {
    "an adapter beside": (
        combine(
            set_keys("adapter_config.json", base_model_name_or_path="org/base"),
            copy_file("model.safetensors", "adapter_model.safetensors"),
        ),
        "org/base",
    ),
    "tensors of an adapter": (add_tensor("model.layers.1.mlp.down_proj.lora_A.default.weight", 4, 64), "lora_A"),
    "scales": (add_tensor(f"{WEIGHT}_scale", 1), "weight_scale"),
    "a layer too many": (add_tensor("model.layers.9.mlp.down_proj.weight", 32, 64), "layers.9"),
    "a head of another kind": (add_tensor("score.weight", 2, 32), "score.weight"),
    "float8": (cast_weight(torch.float8_e4m3fn), "F8_E4M3"),
    "whole numbers": (cast_weight(torch.int8), "I8"),
    "GPTQ": (set_keys("config.json", quantization_config={"quant_method": "gptq", "bits": 4}), "gptq"),
    "bitsandbytes": (set_keys("config.json", quantization_config={"load_in_4bit": True}), "packed"),
    "modelopt in a part": (set_keys("config.json", text_config={"quantization_config": {"quant_algo": "FP8"}}), "FP8"),
    "modelopt in a file": (set_keys("hf_quant_config.json", quantization={}), "packed"),
    "a shard that nothing names": (copy_file("model.safetensors", "model-00002-of-00002.safetensors"), "00002"),
    "two formats of weights": (
        set_keys("model.safetensors.index.json", weight_map={"a": "model-00001-of-00001.safetensors"}),
        "both",
    ),
    "one tensor in two files": (
        combine(
            split_by_index("a.safetensors", "b.safetensors"),
            lambda folder: shutil.copy(folder.with_name("elsewhere.safetensors"), folder / "a.safetensors"),
            lambda folder: shutil.copy(folder.with_name("elsewhere.safetensors"), folder / "b.safetensors"),
        ),
        "both hold",
    ),
    "a path in an index": (split_by_index("../elsewhere.safetensors"), "no name"),
    "a whole path in an index": (
        lambda folder: split_by_index(str(folder.with_name("elsewhere.safetensors")))(folder),
        "no name",
    ),
    "weights elsewhere": (
        set_keys("config.json", transformers_weights="../elsewhere.safetensors"),
        "transformers_weights",
    ),
    "a pickle alone": (
        combine(delete_files("model.safetensors"), write_file("pytorch_model.bin", b"\x80\x04.")),
        "pytorch_model.bin is a pickle",
    ),
    "no tokenizer": (delete_files("tokenizer.json"), "tokenizer.json"),
    "a slow tokenizer alone": (
        combine(delete_files("tokenizer.json"), write_file("tokenizer.model", b"x")),
        "fast tokenizer",
    ),
    "a tokenizer's file elsewhere": (
        combine(
            lambda folder: shutil.move(folder / "tokenizer.json", folder.with_name("outside.json")),
            lambda folder: set_keys("tokenizer_config.json", tokenizer_file=str(folder.with_name("outside.json")))(
                folder
            ),
        ),
        "no tokenizer files",
    ),
    "a pointer for weights": (write_file("model.safetensors", POINTER), "git lfs pull"),
    "a pointer for a tokenizer": (write_file("tokenizer.json", POINTER), "git lfs pull"),
    "a pointer for a configuration": (write_file("config.json", POINTER), "git lfs pull"),
    "a pipe for weights": (make_pipe("model.safetensors"), "regular file"),
    "a pipe for a configuration": (make_pipe("config.json"), "regular file"),
    "a pipe for a tokenizer": (make_pipe("tokenizer.json"), "regular file"),
    "a device": (make_link("tokenizer.json", "/dev/zero"), "regular file"),
    "a header without an end": (write_file("model.safetensors", (2**60).to_bytes(8, "little") + b"{}"), "safetensors"),
    "nested without an end": (write_file("config.json", '{"a":' * 100_000), "config.json"),
    "a nested tokenizer": (write_file("tokenizer.json", '{"a":' * 100_000), "tokenizer"),
    "a billion layers": (set_keys("config.json", num_hidden_layers=10**9), "num_hidden_layers"),
    "a billion labels": (set_keys("config.json", num_labels=10**9), "num_labels"),
    "a huge vocabulary": (set_keys("config.json", vocab_size=10**12), "vocab_size"),
    "shapes of another model": (
        combine(
            set_keys("config.json", hidden_size=2**14, vocab_size=2**20),
            change_tensors(lambda held: [held.pop(name) for name in list(held) if name != "model.norm.weight"]),
        ),
        "config.json asks for",
    ),
    "a tokenizer of other keys": (write_file("tokenizer.json", "{}"), "tokenizer"),
    "an added token of a wrong type": (set_keys("tokenizer_config.json", added_tokens_decoder={"x": 3}), "tokenizer"),
    "a list for a configuration": (write_file("tokenizer_config.json", "[]"), "no JSON object"),
    "a generation configuration of wrong types": (set_keys("generation_config.json", watermarking_config=3), "model"),
}
"""Changes that must be refused, each with a word of the error."""

LEFT_ALONE: dict[str, Change] = {
    "nothing": lambda _folder: None,
    "a publisher's second copy": copy_file("model.safetensors", "consolidated.safetensors"),
    "pickles beside": combine(
        write_file("pytorch_model.bin", b"\x80\x04."), write_file("training_args.bin", b"\x80\x04.")
    ),
    "a distributed checkpoint beside": combine(write_file(".metadata", b"\x80\x04."), write_file("__0_0.distcp", b"")),
    "rotary tables": add_tensor("model.layers.0.self_attn.rotary_emb.inv_freq", 4),
    "names of other places": set_keys("config.json", _name_or_path="/etc", base_model_name_or_path="org/base"),
    "paths of the machine that saved it": set_keys(
        "tokenizer_config.json", special_tokens_map_file="/saved/x", tokenizer_file="/saved/y", name_or_path="/saved/z"
    ),
    "code that transformers has taken over": set_keys(
        "config.json", auto_map={"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"}
    ),
    "a template": write_file("chat_template.jinja", "{{ ''.__class__.__mro__ }}"),
    "a pipe that nobody reads": make_pipe("tokenizer.fifo"),
    "a link to a file elsewhere": lambda folder: (
        (folder / "config.json").rename(folder.with_name("config.json")),
        (folder / "config.json").symlink_to(folder.with_name("config.json")),
    )[-1],
}
"""Changes that must be accepted: the controls."""


def gguf_file(path: Path, *extra: str, parts: int = 0) -> Path:
    """Write a one-layer Llama as a GGUF file, with extra tensors; with `parts`, as one of so many files."""
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
