"""Writes the key tables of docs/experiment-file.md anew from the models; the rest of the page stays."""

from __future__ import annotations

import re
from pathlib import Path

from harness.knobs import KNOBS
from harness.spec.messages import JsonSchema
from harness.spec.schema import schema
from harness.workloads import WORKLOADS

PAGE = Path(__file__).parent.parent / "docs" / "experiment-file.md"
_BLOCK = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_NEW_WORKLOADS = "<!-- new workloads: above -->\n"
# Headings that are not the name that a link has.
_HEADINGS = {"Case": "Cases, sweep, and which layer wins", "Claim": "Claims", "Tune": "Tuning"} | {
    cls.__name__: kind for kind, cls in WORKLOADS.items()
}
_HEAD = "| Key | Value | Default | Meaning |\n|---|---|---|---|\n"


def render(page: str) -> str:
    """The page with the text between each `<!-- generated: NAME -->` and `<!-- end -->` written anew.

    NAME is Experiment, a model's name (Shape, PingPong), or Knobs for all knobs. KeyError for any other name.
    A workload that the page lacks gets a section of its own at the mark for new ones, to add prose to.
    """
    document = schema()
    lacking = {kind: cls for kind, cls in WORKLOADS.items() if f"<!-- generated: {cls.__name__} -->" not in page}
    for kind, cls in lacking.items():
        about = _one_line(cls.__doc__ or "")
        section = f"### `{kind}`\n\n{about}\n\n<!-- generated: {cls.__name__} -->\n<!-- end -->\n\n"
        page = page.replace(_NEW_WORKLOADS, section + _NEW_WORKLOADS)
    return _BLOCK.sub(lambda match: f"{match[1]}{_block(document, match[2])}{match[3]}", page)


def _block(document: JsonSchema, name: str) -> str:
    if name == "Experiment":
        return _table(document)
    if name != "Knobs":
        return _table(document["$defs"][name])
    text = ""
    for knob, entry in document["$defs"]["NodeSettings"]["properties"].items():
        model = document["$defs"][_reference(entry)]
        about = f"Scope: {KNOBS[knob].scope}. {_one_line(model['description'])}"
        text += f"### `{knob}`\n\n{about}\n\n{_table(model)}\n"
    return text


def _table(model: JsonSchema) -> str:
    rows = [
        f"| `{key}` | {_value(entry)} | {_default(entry, key in model.get('required', ()))} "
        f"| {_one_line(entry.get('description', ''))} |\n"
        for key, entry in model["properties"].items()
    ]
    return _HEAD + "".join(rows)


def _value(entry: JsonSchema | bool) -> str:
    """What may stand there, in words."""
    if not isinstance(entry, dict):
        return "anything"
    if "x-quantity" in entry:
        quantity = str(entry["x-quantity"])
        return "on, off" if quantity == "on or off" else f"[{quantity}](#quantities)"
    if "discriminator" in entry:
        return "[workload](#workloads)"
    if "anyOf" in entry or "oneOf" in entry:
        either = entry.get("anyOf") or entry["oneOf"]
        options = [_value(option) for option in either if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(options))
    if "$ref" in entry:
        return _link(_reference(entry))
    if "enum" in entry or "const" in entry:
        return ", ".join(f"`{choice}`" for choice in entry.get("enum", [entry.get("const")]))
    return _plain_value(entry)


def _plain_value(entry: JsonSchema) -> str:
    kind = entry.get("type")
    if kind == "integer":
        return f"whole number{_range(entry)}"
    if kind == "array":
        items = entry.get("items") or (entry.get("prefixItems") or [{}])[0]
        exactly = str(entry["maxItems"]) if entry.get("maxItems") == entry.get("minItems", -1) else ""
        return " ".join(filter(None, ("list of", exactly, _value(items))))
    if kind == "object":
        named = next(iter(entry.get("patternProperties", {}).values()), entry.get("additionalProperties", {}))
        return f"mapping of name to {_value(named if isinstance(named, dict) else {})}"
    if isinstance(kind, list) and "object" in kind and "additionalProperties" not in entry:
        return "single values or mappings"
    if isinstance(kind, list) and "object" in kind:
        return f"mapping of name to {_value(entry['additionalProperties'])}"
    if isinstance(kind, list):
        return "single values"
    return {"string": "text", "boolean": "true, false", "number": "number"}.get(str(kind), "anything")


def _range(entry: JsonSchema) -> str:
    low, high = entry.get("minimum"), entry.get("maximum")
    if low is None and high is None:
        return ""
    return f", {low} or more" if high is None or high >= 2**63 - 1 else f", {low} to {high}"


def _default(entry: JsonSchema, required: bool) -> str:
    if required:
        return "required"
    default = entry.get("default")
    if default is None or default in ("", []):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _reference(entry: JsonSchema) -> str:
    options = [entry, *entry.get("anyOf", ())]
    return next(str(option["$ref"]).rsplit("/", 1)[-1] for option in options if "$ref" in option)


def _link(model: str) -> str:
    """The part of the page that describes a model; a case changes it by the same keys."""
    name = model.removesuffix("Overlay")
    titles = {"NodeSettings": "Knobs", "Figure": "Figures", "Service": "Service time", "XdpSocket": "XDP sockets"}
    title = titles.get(name, name)
    head = _HEADINGS.get(name, title)
    return f"[{title}](#{re.sub(r'[^a-z0-9 -]', '', head.lower()).replace(' ', '-')})"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
