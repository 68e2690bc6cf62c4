"""Untrusted model folders: with broken files, extra content or code."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from pathlib import Path
from typing import Any

from support.hostile_cases import files
from support.hostile_cases.case import Ask, Setting, command
from support.hostile_cases.foreign_code import Payload, code
from support.hostile_cases.lake_tricks import changed_json
from support.hostile_cases.values import RAW, odd, shown

CODE_KEYS = (
    "AutoConfig",
    "AutoModelForCausalLM",
    "AutoModel",
    "AutoTokenizer",
    "AutoProcessor",
    "AutoImageProcessor",
    "AutoModelForSequenceClassification",
)
TEMPLATES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{% for x in range(10**9) %}{% endfor %}",
    "{{ cycler.__init__.__globals__.os.system('id') }}",
    "{% include '/etc/passwd' %}", "{{", "{{ raise_exception('x') }}", "x" * 100_000,
)  # fmt: skip


def make(at: Setting) -> tuple[str, Ask]:
    """Change one thing in a copy of a valid folder, and inspect or load it."""
    name = at.draw.choice(sorted(path.name for path in at.good.models.iterdir()))
    folder = at.folder / "model"
    shutil.copytree(at.good.models / name, folder)
    way = at.draw.choices((_file, _json, _code, _more, _weights, _pickled, _settings), (22, 24, 18, 10, 12, 6, 8))[0]
    story = f"{name}: {way(at, folder)}"
    lake = at.folder / "lake"
    if at.draw.random() < 0.12:
        return story, command("plan", at.good.spec, "--set", f"model.source={folder}", "--lake", lake, keeps=(folder,))
    act = _load_meta_model if at.draw.random() < 0.35 else _load_model
    word = "plan (its look at the model)" if act is _load_meta_model else "run (its loading of the model)"
    return story, command(word, folder, call=lambda: act(folder, lake), keeps=(folder,))


def _load_meta_model(folder: Path, lake: Path) -> None:
    from editflow.storage.artifacts.store import Lake
    from editflow.tasks.models.meta_model import meta_model

    meta_model(Lake.open(lake), str(folder), "float32")


def _load_model(folder: Path, lake: Path) -> None:
    from editflow.storage.artifacts.store import Lake
    from editflow.tasks.models.model_identity import identify
    from editflow.tasks.models.model_session import ModelSession

    store = Lake.open(lake)
    identify(store, str(folder), "float32", "cpu", None, store.find)
    ModelSession.load(folder, "float32", "cpu")


def _file(at: Setting, folder: Path) -> str:
    return files.spoil(at.draw.choice(files.ordered(folder)), at.draw, at.outside)


def _json(at: Setting, folder: Path) -> str:
    path = at.draw.choice(files.ordered(folder, "*.json"))
    return f"{path.name}: {files.json_changed(path, at.draw, at.outside)}"


def _code(at: Setting, folder: Path) -> str:
    """Files that refer to custom classes, and their code, which leaves traces."""
    source = code(str(at.folder / "ran"), at.port)
    classes = "".join(f"\nclass My{key}: pass\n" for key in CODE_KEYS)
    names = (
        "mine.py",
        "tokenization_mine.py",
        "modeling_mine.py",
        "configuration_mine.py",
        "tok.py",
        "__init__.py",
        "conftest.py",
        "sitecustomize.py",
        "torch.py",
    )
    for name in names:
        (folder / name).write_text(source + classes)
    chosen = at.draw.sample(CODE_KEYS, at.draw.choice((1, 2, len(CODE_KEYS))))
    module = at.draw.choice(("mine", "../model/mine", "org/name--mine", "tok"))
    table: dict[str, Any] = {key: f"{module}.My{key}" for key in chosen}
    if "AutoTokenizer" in table:
        table["AutoTokenizer"] = [f"{module}.MyAutoTokenizer", at.draw.choice((None, f"{module}.MyAutoTokenizer"))]
    path = folder / at.draw.choice(
        ("config.json", "tokenizer_config.json", "generation_config.json", "processor_config.json")
    )
    if not path.exists():
        path.write_text("{}")
    more: dict[str, Any] = {"auto_map": table}
    if at.draw.random() < 0.5:
        more |= {"model_type": "mine"} if path.name == "config.json" else {"tokenizer_class": "MyAutoTokenizer"}
    if at.draw.random() < 0.2:
        more |= {"trust_remote_code": True}
    if at.draw.random() < 0.15:
        (folder / "custom_generate").mkdir()
        (folder / "custom_generate" / "generate.py").write_text(source)
    changed_json(path, lambda tree: tree.update(more))
    return f"{path.name} asks for {', '.join(chosen)} of {module}"


def _more(at: Setting, folder: Path) -> str:
    """Parts that the model has no place for: an adapter, tensors, scales."""
    from safetensors.numpy import load_file, save_file

    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    name = at.draw.choice(sorted(key for key, value in tensors.items() if value.ndim == 2))
    what = at.draw.choice(
        (
            "an adapter",
            "an adapter's settings alone",
            "lora in the weights",
            "scales in the weights",
            "one tensor more",
            "quantised",
        )
    )
    if "adapter" in what:
        (folder / "adapter_config.json").write_text(
            json.dumps({"peft_type": "LORA", "base_model_name_or_path": "org/name", "r": 1, "target_modules": ["x"]})
        )
        if what == "an adapter":
            save_file({f"base_model.model.{name}": tensors[name]}, folder / "adapter_model.safetensors")
    elif what == "quantised":
        method = at.draw.choice(("modelopt", "bitsandbytes", "gptq", "fp8", "awq", "torchao", "x", 5))
        changed_json(
            folder / "config.json",
            lambda tree: tree.update(quantization_config={"quant_method": method, "load_in_4bit": True}),
        )
        what += f" by {method}"
    else:
        ending = {"lora in the weights": ".lora_A.default.weight", "scales in the weights": "_scale"}.get(what, ".more")
        tensors[f"{name}{ending}"] = tensors[name][:1].copy()
        save_file(tensors, weights, metadata={"format": "pt"})
    return what


def _weights(at: Setting, folder: Path) -> str:
    """Change the header of a weights file, which locates its tensors, or the index of several files."""
    path = folder / "model.safetensors"
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    what = at.draw.choice(("header length", "a header value", "index", "index", "no numbers", "other name"))
    if what == "header length":
        value = at.draw.choice((0, 1, 2**63, 2**64 - 1, length + 8, 10**9))
        path.write_bytes(struct.pack("<Q", value) + data[8:])
        return f"a header of {value} bytes"
    header = json.loads(data[8 : 8 + length])
    name = at.draw.choice(sorted(key for key in header if key != "__metadata__"))
    if what == "index":
        aim = at.draw.choice(
            (
                "../../outside/x.safetensors",
                str(at.outside / "secret.txt"),
                "x.safetensors",
                "model.bin",
                "",
                "model.safetensors",
                5,
            )
        )
        moved = folder / at.draw.choice(("model-00001-of-00001.safetensors", "model.safetensors"))
        path.rename(moved)
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {}, "weight_map": dict.fromkeys(header, aim)})
        )
        return f"an index that leads to {shown(aim)}"
    if what == "no numbers":
        start = 8 + length
        path.write_bytes(data[:start] + b"\xff" * (len(data) - start))
        return "weights that are no numbers"
    if what == "other name":
        path.rename(
            folder
            / at.draw.choice(
                ("pytorch_model.bin", "model.gguf", "weights.safetensors", "tf_model.h5", "flax_model.msgpack")
            )
        )
        return "weights under another name"
    field = at.draw.choice(("dtype", "shape", "data_offsets"))
    value = at.draw.choice(
        ("F64", "F4", "BOOL", [2**40, 2**40], [], [-1], [0, 2**60], [8, 0], None, odd(at.draw, at.outside))
    )
    header[name][field] = value
    text = json.dumps(header)
    for mark, raw in RAW.items():
        text = text.replace(f'"{mark}"', raw)
    made = text.encode()
    path.write_bytes(struct.pack("<Q", len(made)) + made + data[8 + length :])
    return f"{field} of {name} is {shown(value)}"


def _pickled(at: Setting, folder: Path) -> str:
    """Weights as a pickle that runs code."""
    import zipfile

    name = at.draw.choice(
        ("pytorch_model.bin", "model.pt", "training_args.bin", "model.safetensors", "tokenizer.pkl", "optimizer.pt")
    )
    data = pickle.dumps(Payload(str(at.folder / "ran"), at.port))
    if at.draw.random() < 0.5:
        (folder / "model.safetensors").unlink()
    if at.draw.random() < 0.5:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("archive/data.pkl", data)
            archive.writestr("archive/version", "3")
    else:
        (folder / name).write_bytes(data)
    return f"a pickle as {name}"


def _settings(at: Setting, folder: Path) -> str:
    """Huge sizes, names of other models and files, templates with code."""
    settings: tuple[tuple[str, str, Any], ...] = (
        ("config.json", "vocab_size", 10**9), ("config.json", "num_labels", 10**9),
        ("config.json", "num_hidden_layers", 10**6),
        ("config.json", "hidden_size", 2**30), ("config.json", "vocab_size", -1),
        ("config.json", "torch_dtype", "os.system"), ("config.json", "dtype", "float7"),
        ("config.json", "_name_or_path", "org/name"), ("config.json", "model_type", "bert"),
        ("config.json", "architectures", ["os.system"]), ("config.json", "base_model_name_or_path", "org/name"),
        ("config.json", "attn_implementation", "org/kernel"),
        ("config.json", "_attn_implementation", "org/kernel:x"), ("config.json", "rope_scaling",
        {"type": "x", "factor": 0}), ("config.json", "hidden_act", "eval"),
        ("tokenizer_config.json", "tokenizer_class", "BertTokenizer"), ("tokenizer_config.json", "tokenizer_class",
        "os.system"), ("tokenizer_config.json", "tokenizer_file", "/etc/passwd"),
        ("tokenizer_config.json", "vocab_file", str(at.outside / "secret.txt")),
        ("tokenizer_config.json", "name_or_path", "org/name"), ("tokenizer_config.json", "fast_tokenizer_files",
        ["../x"]),
        ("tokenizer_config.json", "model_max_length", -1), ("tokenizer_config.json", "added_tokens_decoder",
        {"0": {"content": "x"}}), ("config.json", "transformers_version", "99.0"),
    )  # fmt: skip
    if at.draw.random() < 0.25:
        template = at.draw.choice(TEMPLATES)
        (folder / "chat_template.jinja").write_text(template)
        return f"a chat template: {shown(template)}"
    name, key, value = at.draw.choice(settings)
    path = folder / name
    changed_json(path, lambda tree: tree.update({key: value}))
    return f"{name}: {key} = {shown(value)}"
