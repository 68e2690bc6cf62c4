"""The kinds of artifact and their columns.

A new kind is one ``register(Kind(...))`` here or in the file that introduces it; store, views and tests iterate over
the registry. A matrix is stored as one record per row (``layer, name, i, row``), so that SQL can read it.
"""

import difflib
from dataclasses import dataclass

import pyarrow as pa

from editflow.storage.errors import UnknownKind, WrongSchema

KINDS: dict[str, "Kind"] = {}


@dataclass(frozen=True)
class Kind:
    """A name, the exact columns of its payload, and a description in one sentence."""

    name: str
    schema: pa.Schema
    about: str

    def check(self, table: pa.Table) -> None:
        """Raise WrongSchema, which names the first difference, unless ``table`` has exactly these columns."""
        if table.schema.equals(self.schema):
            return
        for wanted, got in zip(self.schema, table.schema, strict=False):
            if wanted.name != got.name or wanted.type != got.type:
                raise WrongSchema(
                    f"kind {self.name!r}: expected column {wanted.name} {wanted.type}, "
                    f"got {got.name} {got.type}; cast the table to the kind's schema"
                )
        raise WrongSchema(
            f"kind {self.name!r}: expected columns {self.schema.names}, got {table.schema.names}; "
            f"cast the table to the kind's schema"
        )


def register(kind: Kind) -> Kind:
    """Add a kind. Raises ValueError if the name is taken."""
    if kind.name in KINDS:
        raise ValueError(f"kind {kind.name!r} is already registered; choose another name")
    KINDS[kind.name] = kind
    return kind


def kind(name: str) -> Kind:
    """The kind with this name. Raises UnknownKind, which suggests the nearest name."""
    if name not in KINDS:
        near = difflib.get_close_matches(name, KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(KINDS))}"
        raise UnknownKind(f"no artifact kind {name!r}; {hint}")
    return KINDS[name]


def kinds() -> tuple[Kind, ...]:
    """All registered kinds, sorted by name."""
    return tuple(KINDS[name] for name in sorted(KINDS))


_TEXT, _I32, _I64, _F32, _F64 = pa.string(), pa.int32(), pa.int64(), pa.float32(), pa.float64()
_TEXTS, _ROW = pa.list_(_TEXT), pa.list_(_F64)


def _declare(kind_name: str, about: str, /, **columns: pa.DataType) -> None:
    register(Kind(kind_name, pa.schema(list(columns.items())), about))


_declare("model", "the tensors, configuration and tokenizer files of a loaded model",
         tensor=_TEXT, dtype=_TEXT, shape=pa.list_(_I64), digest=_TEXT)  # fmt: skip
_declare("documents", "sampled corpus documents; split is moments or heldout",
         document=_TEXT, title=_TEXT, split=_TEXT, text=_TEXT)  # fmt: skip
_declare("tokens", "documents as token ids of one tokenizer",
         document=_TEXT, ids=pa.list_(_I32))  # fmt: skip
_declare("second_moment", "sums of k kᵀ per layer as packed upper triangles, each with a 1×1 matrix named count",
         layer=_I32, name=_TEXT, i=_I32, row=_ROW)  # fmt: skip
_declare("spectrum", "eigenvalues of the mean second moment per layer, and its reduction to tridiagonal form: "
         "reduced is column i from the diagonal down, scale its reflector's factor, 0 in the last row (LAPACK dsytrd)",
         layer=_I32, i=_I32, eigenvalue=_F64, scale=_F64, reduced=_ROW)  # fmt: skip
_declare("null_space", "projector per layer as the thinner of basis and complement",
         layer=_I32, name=_TEXT, i=_I32, row=_ROW)  # fmt: skip
_declare("requests", "the facts to write, in order, with the prompts that evaluate them",
         request=_TEXT, position=_I32, relation=_TEXT, subject=_TEXT, prompt=_TEXT, target_new=_TEXT,
         target_true=_TEXT, paraphrase_prompts=_TEXTS, neighborhood_prompts=_TEXTS)  # fmt: skip
_declare("questions", "evaluation of facts beyond the prompts of their requests, by role: locality, portability, "
         "generation, reference, alias; a row has a prompt, answers, or both",
         request=_TEXT, role=_TEXT, index=_I32, prompt=_TEXT, answers=_TEXTS)  # fmt: skip
_declare("contexts", "sampled texts that precede a prompt when keys and target values are computed",
         i=_I32, template=_TEXT)  # fmt: skip
_declare("target_values", "the optimised z* of each fact, with statistics of its optimisation",
         request=_TEXT, layer=_I32, z=_ROW, h_norm=_F64, delta_norm=_F64, loss=_F64, nll=_F64, kl=_F64,
         weight_decay=_F64, steps=_I32, stopped=_TEXT)  # fmt: skip
_declare("keys", "the keys of edited facts per layer, which later batches must preserve",
         layer=_I32, request=_TEXT, key=_ROW)  # fmt: skip
_declare("weight_change", "one batch's change of each edited tensor, in its declared form",
         layer=_I32, tensor=_TEXT, form=_TEXT, factor=_TEXT, i=_I32, row=_ROW)  # fmt: skip
_declare("state", "one link in the chain of edited models: the resulting weight digests",
         layer=_I32, tensor=_TEXT, form=_TEXT, weight_digest=_TEXT, change_norm=_F64,
         weight_norm=_F64)  # fmt: skip
_declare("evaluation", "per prompt: mean NLL of the answer that the edit should produce and of the one that must stay "
         "(null: none), success (null without both), accuracy, tokens of the expected answer, how many are the argmax, "
         "whether another request edits the same fact, share of tokens by the published count (null: not computed), "
         "the argmax token at each position of the expected answer",
         request=_TEXT, metric=_TEXT, prompt_index=_I32, prompt=_TEXT, nll_new=_F64, nll_true=_F64, success=_F64,
         accuracy=_F64, tokens=_I32, hits=_I32, edited=pa.bool_(), published=_F64, said=pa.list_(_I32))  # fmt: skip
_declare("perplexity", "per held-out document: tokens and their summed negative log-likelihood in nats",
         document=_TEXT, tokens=_I64, nll=_F64)  # fmt: skip
_declare("generations", "texts that a model generated: text is the continuation without the prompt",
         request=_TEXT, role=_TEXT, prompt_index=_I32, prompt=_TEXT, text=_TEXT)  # fmt: skip
_declare("text_scores", "metrics over generated texts; value is null where the metric is not available",
         request=_TEXT, metric=_TEXT, role=_TEXT, prompt_index=_I32, value=_F64)  # fmt: skip
_declare("hidden_states", "the output of a layer at the last token of fixed prompts, in float32",
         layer=_I32, i=_I32, prompt=_TEXT, vector=pa.list_(_F32))  # fmt: skip
_declare("drift", "how far an edited model's hidden states have moved from the base's, per layer and metric",
         layer=_I32, metric=_TEXT, value=_F64)  # fmt: skip
_declare("drift_points", "hidden states in the plane of the base's first two principal axes, in standard deviations; "
         "cloud is base or edited, i the prompt",
         layer=_I32, cloud=_TEXT, i=_I32, x=_F64, y=_F64)  # fmt: skip
_declare("answers", "continuations of the prompts of some facts by the base model and by an edited state",
         request=_TEXT, prompt=_TEXT, base=_TEXT, edited=_TEXT)  # fmt: skip
_declare("report", "a run's report as one HTML page",
         page=_TEXT)  # fmt: skip
_declare("trials", "settings that were tried on probe facts, their scores in percent, held-out perplexity, and the "
         "objective that chose one; null: not measured; error says why a trial gave no result",
         trial=_I32, varied=_TEXT, layers=pa.list_(_I32), z_layer=_I32, ridge=_F64, learning_rate=_F64, clamp=_F64,
         stop_at=_F64, steps=_I32, efficacy=_F64, paraphrase=_F64, neighbourhood=_F64, efficacy_accuracy=_F64,
         paraphrase_accuracy=_F64, neighbourhood_accuracy=_F64, perplexity=_F64, perplexity_ratio=_F64,
         objective=_F64, error=_TEXT, state=_TEXT, alpha=_F64)  # fmt: skip
_declare("reproduction", "a run compared with its repetition in a fresh lake, artifact by artifact: both digests "
         "(null: note says why); if they differ, the largest difference of a number, absolute and relative",
         stage=_TEXT, artifact=_TEXT, digest=_TEXT, again=_TEXT, same=pa.bool_(), largest=_F64, relative=_F64,
         note=_TEXT)  # fmt: skip
_declare("comparison", "the page and tables of `editflow compare` for several runs, one file per row",
         name=_TEXT, text=_TEXT)  # fmt: skip
_declare("ability_cases", "questions about general ability as asked, with their right option",
         set=_TEXT, case_id=_TEXT, prompt=_TEXT, options=_TEXTS, label=_TEXT)  # fmt: skip
_declare("ability", "per question and mode: the right option and the predicted one (null: no answer), "
         "mean NLL of each option (null in generation), the generated text (null in likelihood)",
         set=_TEXT, case_id=_TEXT, way=_TEXT, label=_TEXT, predicted=_TEXT, nlls=_ROW, said=_TEXT)  # fmt: skip
