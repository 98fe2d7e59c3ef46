"""The JSON schema of experiment files, for editors: the same keys and written forms that the loader takes."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import BaseModel, Field, create_model

from harness.spec.experiment import CELL_SECTIONS, FILE_KEYS, NAME_PATTERN, REQUIRED_SECTIONS, SECTION_TYPES, Header
from harness.spec.messages import JsonSchema
from harness.units import format_duration, format_on_off, format_percent, format_size

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SWEPT = {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean", "null", "object"]}}
_DEFAULT_FORMS = {
    "duration": format_duration,
    "size": format_size,
    "percentage": format_percent,
    "share": lambda share: format_percent(share * 100),
    "on or off": format_on_off,
}
_ABOUT = {
    "topology": "nodes and links; or a path to a topology file, or the bare name of a shipped one",
    "workload": "what is measured",
    "workloads": "or: several at once, one of them measured, the others beside it",
    "contention": "hogs that compete for CPUs while the workload is measured",
    "settings": 'node name, or "*" for every node where a knob makes sense, to the knobs it gets',
    "checks": "thresholds beyond which a run is not taken at its word",
    "vm": "the machine of `pollbench vm run`: kernel, CPUs, memory, NUMA, IOMMU",
}


def schema() -> JsonSchema:
    """JSON schema (2020-12) of an experiment file; "x-quantity", our addition, names the kind of a value."""
    fields: dict[str, Any] = {}
    for name in CELL_SECTIONS:
        required = name in REQUIRED_SECTIONS
        kind = SECTION_TYPES[name] if required else SECTION_TYPES[name] | None
        fields[name] = (kind, Field(... if required else None, description=_ABOUT[name]))
    whole: type[BaseModel] = create_model("Experiment", __base__=Header, **fields)
    document = whole.model_json_schema(by_alias=True)
    _tidy(document)
    topology = document["$defs"]["Topology"]
    topology["required"] = [key for key in topology["required"] if key != "nodes"]
    topology["anyOf"] = [{"required": ["nodes"]}, {"required": ["mininet"]}]
    overlays = {f"{name}Overlay": _overlay(model) for name, model in document["$defs"].items()}
    properties = document["properties"]
    case = {name: _overlay(properties[name]) for name in CELL_SECTIONS}
    for sections in (properties, case):
        inline = {"$ref": sections["topology"]["$ref"]}
        sections["topology"] = {"description": _ABOUT["topology"], "anyOf": [{"type": "string"}, inline]}
    document["$defs"] |= overlays | {"Case": _case(case)}
    cases = {"propertyNames": {"pattern": NAME_PATTERN}, "additionalProperties": {"$ref": "#/$defs/Case"}}
    keys = {"pattern": rf"^({'|'.join(CELL_SECTIONS)})(\.|$)"}
    sweep = {"propertyNames": keys, "additionalProperties": _SWEPT}
    for name, kind in (("cases", cases), ("sweep", sweep)):
        about = {"description": properties[name]["description"]}
        properties[name] = about | {"type": ["object", "null"], "minProperties": 1} | kind
    for name in ("space", "across"):
        entry = document["$defs"]["Tune"]["properties"][name]
        entry["propertyNames"], entry["additionalProperties"] = keys, _SWEPT
    head = {"$schema": _DIALECT, "title": "pollbench experiment file", "description": "See docs/experiment-file.md."}
    return head | {
        "type": "object",
        "properties": {name: properties[name] for name in FILE_KEYS},
        "required": document["required"],
        "oneOf": [{"required": ["workload"]}, {"required": ["workloads"]}],
        "additionalProperties": False,
        "$defs": document["$defs"],
    }


def _case(sections: JsonSchema) -> JsonSchema:
    return {
        "description": "What one case changes; laid over the sections of the file, mappings key by key.",
        "type": ["object", "null"],
        "properties": {"description": {"type": "string", "description": "what the case is, in words"}} | sections,
        "additionalProperties": False,
    }


def _tidy(node: Any) -> None:
    """Drop titles that repeat the key, refuse names of another form, write defaults as a file would."""
    if isinstance(node, list):
        for child in node:
            _tidy(child)
    if not isinstance(node, dict):
        return
    for name, child in node.items():
        if name in ("properties", "$defs") and isinstance(child, dict):
            for entry in child.values():
                entry.pop("title", None)
        _tidy(child)
    if "patternProperties" in node:
        node["additionalProperties"] = False
    form = _DEFAULT_FORMS.get(str(node.get("x-quantity")))
    if form is not None and node.get("default") is not None:
        node["default"] = form(node["default"])
    if node.get("default", 0) is None:
        del node["default"]


def _overlay(model: JsonSchema) -> JsonSchema:
    """A schema of changes: nothing is required, and entries of a list can be changed by their number."""

    def changed(node: Any) -> Any:
        if isinstance(node, list):
            return [changed(child) for child in node]
        if not isinstance(node, dict):
            return node
        out = {key: changed(child) for key, child in node.items() if key not in ("required", "discriminator")}
        if "oneOf" in out:
            # A change that does not repeat the kind fits several of them.
            out["anyOf"] = out.pop("oneOf")
        if "$ref" in out:
            out["$ref"] += "Overlay"
        if out.get("type") == "array" and "items" in out:
            entry = {"type": "object", "patternProperties": {"^[0-9]+$": out["items"]}, "additionalProperties": False}
            return {"anyOf": [out, entry]}
        return out

    result: JsonSchema = changed(copy.deepcopy(model))
    return result
