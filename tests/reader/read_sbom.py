#!/usr/bin/env python3
"""Reads CycloneDX documents of `lfctl bundle sbom` with the official Python library, and nothing of lfctl.

usage: read_sbom.py OLD.json NEW.json DIFF.json

Validates both documents strictly against the schema of their version, reads them into the library's model, and holds
what `lfctl bundle diff --json` says of packages against the difference of the two models. Exits 0 when all agree.
"""
import json
import sys

from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def read(path):
    """The model of a document, once it is valid."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    document = json.loads(text)
    version = SchemaVersion.from_version(document["specVersion"])
    error = JsonStrictValidator(version).validate_str(text)
    if error is not None:
        sys.exit(f"{path}: {error}")
    bom = Bom.from_json(document)
    bom.validate()
    for component in bom.components:
        # What a package URL says has to be what the component says.
        purl = component.purl
        assert purl is not None, component
        assert component.type.value == "container" or purl.name == component.name, component
        assert component.type.value == "container" or purl.version == component.version, component
    return bom


def packages(bom):
    """Versions by type, name and architecture, for each image that has them."""
    by_ref = {component.bom_ref.value: component for component in bom.components}
    found = {}
    for dependency in bom.dependencies:
        image = by_ref.get(dependency.ref.value)
        if image is None or image.type.value != "container":
            continue
        here = found.setdefault(image.name, {})
        for one in dependency.dependencies:
            purl = by_ref[one.ref.value].purl
            key = (purl.type, purl.name, purl.qualifiers.get("arch", ""))
            here.setdefault(key, set()).add(purl.version)
    return found


def main():
    old, new = read(sys.argv[1]), read(sys.argv[2])
    with open(sys.argv[3], encoding="utf-8") as file:
        said = json.load(file)
    had, has = packages(old), packages(new)
    for image in said["images"].values():
        name = (image["to"] or image["from"]).rsplit(":", 1)[0]
        before, after = had.get(name, {}), has.get(name, {})
        keys = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        wanted = {(key, tuple(sorted(before.get(key, ()))), tuple(sorted(after.get(key, ())))) for key in keys}
        found = {
            ((one["kind"], one["name"], one["architecture"]), tuple(one["from"]), tuple(one["to"]))
            for one in image["packages"]
        }
        assert found == wanted, (name, found, wanted)
    print(f"{len(old.components)} and {len(new.components)} components are valid CycloneDX; the difference agrees")


main()
