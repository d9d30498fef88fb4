#!/usr/bin/env python3
"""Reads an lfctl bundle and checks every byte of it, by docs/bundle.md alone.

    read_bundle.py PUBLIC-KEY BUNDLE

Prints the bundle manifest and what was read as one JSON document, or one line
that says what is wrong, with exit code 1. Needs Python's standard library and
the program `minisign`. Holds one chunk of a layer at a time.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zlib

BLOCK = 512
CHUNK = 1 << 20
DOCUMENT = 16 << 20
ARTIFACT_TYPE = "application/vnd.lfctl.bundle.v1"
MANIFEST_TYPE = "application/vnd.lfctl.bundle.manifest.v1+json"
STACK_TYPE = "application/vnd.lfctl.stack.v1+json"
SBOM_TYPE = "application/vnd.cyclonedx+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


class Wrong(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Wrong(what)


def canonical(value):
    """JSON as bundles spell it: sorted keys, no blanks, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob_name(name):
    algorithm, _, value = name.partition(":")
    is_hex = len(value) == 64 and set(value) <= set("0123456789abcdef")
    need(algorithm == "sha256" and is_hex, f"`{name}` is no digest")
    return f"blobs/sha256/{value}"


def header(name, size):
    """The one header that an entry of this name and size may have."""

    def octal(number, width):
        return b"%0*o\0" % (width - 1, number)

    def block(checksum):
        fields = [
            name.encode().ljust(100, b"\0"),
            octal(0o644, 8),
            octal(0, 8),
            octal(0, 8),
            # Sizes of 8 GiB and more do not fit into octal digits.
            octal(size, 12) if size < 8**11 else (1 << 95 | size).to_bytes(12, "big"),
            octal(0, 12),
            checksum,
            b"0",
            b"\0" * 100,
            b"ustar\00000",
            b"\0" * (32 + 32),
            b"\0" * (8 + 8 + 155),
        ]
        return b"".join(fields).ljust(BLOCK, b"\0")

    return block(octal(sum(block(b" " * 8)), 8))


class Tar:
    def __init__(self, file):
        self.file = file
        self.at = 0

    def take(self, count):
        data = self.file.read(count)
        need(len(data) == count, f"truncated at byte {self.at + len(data)}")
        self.at += count
        return data

    def begin(self, name, size=None):
        """Reads a header; the size only where nothing signed has said it."""
        found = self.take(BLOCK)
        if size is None:
            text = found[124:136].rstrip(b"\0 ")
            need(text.isdigit(), f"size of `{name}` is no number")
            size = int(text, 8)
            need(size <= DOCUMENT, f"`{name}` is too large")
        need(found == header(name, size), f"header of `{name}` is not the computed one")
        return size

    def end(self, name, size):
        padding = self.take(-size % BLOCK)
        need(not padding.strip(b"\0"), f"padding behind `{name}` is not zero")

    def read(self, name, size=None):
        size = self.begin(name, size)
        need(size <= DOCUMENT, f"`{name}` is too large")
        data = self.take(size)
        self.end(name, size)
        return data

    def document(self, named, size):
        data = self.read(blob_name(named), size)
        need(digest(data) == named, f"{named} has other content")
        return data


def verified(key, index, signature):
    """The trusted comment, once `minisign` has accepted the signature."""
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "index.json")
        for name, data in ((path, index), (path + ".minisig", signature)):
            with open(name, "wb") as file:
                file.write(data)
        done = subprocess.run(
            ["minisign", "-V", "-H", "-q", "-m", path, "-p", key],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    need(done.returncode == 0, "the signature does not hold")
    lines = signature.decode().split("\n")
    need(len(lines) == 5 and lines[4] == "", "the signature file has not four lines")
    need(lines[0].startswith("untrusted comment: "), "no untrusted comment")
    prefix = "trusted comment: "
    need(lines[2].startswith(prefix), "no trusted comment")
    return lines[2][len(prefix) :]


def by_reference(manifest):
    images = manifest["images"].values()
    return sorted({image["reference"]: image for image in images}.items())


def documents(manifest, bundle, stack_size, sizes):
    """What the artifact manifest, index.json and manifest.json have to be."""
    layers = [{"mediaType": STACK_TYPE, "digest": manifest["stack"], "size": stack_size}]

    def artifact_of(layers):
        config = {"mediaType": MANIFEST_TYPE, "digest": digest(bundle), "size": len(bundle)}
        return canonical(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": ARTIFACT_TYPE,
                "config": config,
                "layers": layers,
            }
        )

    artifact = artifact_of(layers)
    if "sbom" in manifest:
        sbom = {"mediaType": SBOM_TYPE, "digest": manifest["sbom"], "size": sizes[manifest["sbom"]]}
        largest = artifact_of(layers + [dict(sbom, size=2**64 - 1)])
        artifact = artifact_of(layers + [sbom]).ljust(len(largest), b" ")
    first = {
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "digest": digest(artifact),
        "size": len(artifact),
    }
    descriptors, docker = [first], []
    for reference, image in by_reference(manifest):
        descriptors.append(
            {
                "mediaType": image["media-type-of-manifest"],
                "digest": image["manifest"],
                "size": sizes[image["manifest"]],
                "platform": manifest["platform"],
                "annotations": {
                    "org.opencontainers.image.ref.name": reference,
                    "io.containerd.image.name": reference,
                },
            }
        )
        layers = [blob_name(layer["digest"]) for layer in image["layers"]]
        docker.append(
            {"Config": blob_name(image["config"]), "RepoTags": [reference], "Layers": layers}
        )
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}
    return artifact, canonical(index), canonical(docker)


def expected_order(manifest, sizes):
    """Every blob behind the bundle manifest, in order."""
    small, large = set(), set()
    for image in manifest["images"].values():
        small |= {image["manifest"], image["config"]}
        large |= {layer["digest"] for layer in image["layers"]}
    large -= {blob["digest"] for blob in manifest.get("base", {}).get("absent", [])}
    order = [manifest["stack"], *sorted(small), *sorted(large)]
    order += [manifest["sbom"]] if "sbom" in manifest else []
    return [{"digest": name, "size": sizes[name]} for name in dict.fromkeys(order)]


def read_layer(tar, layer):
    """Hashes a layer as stored and as inflated, and lets it grow no further
    than the signed size."""
    name = blob_name(layer["digest"])
    tar.begin(name, layer["size"])
    stored, inflated, unpacked = hashlib.sha256(), hashlib.sha256(), 0
    is_gzip = layer["media-type"].endswith("gzip")
    inflater = zlib.decompressobj(wbits=31)
    left = layer["size"]
    while left:
        chunk = tar.take(min(CHUNK, left))
        left -= len(chunk)
        stored.update(chunk)
        while chunk:
            if not is_gzip:
                piece, chunk = chunk, b""
            else:
                try:
                    piece = inflater.decompress(chunk, CHUNK)
                except zlib.error as error:
                    raise Wrong(f"{layer['digest']} cannot be inflated: {error}") from error
                chunk = inflater.unconsumed_tail
                if inflater.eof:
                    chunk = inflater.unused_data
                    inflater = zlib.decompressobj(wbits=31)
            inflated.update(piece)
            unpacked += len(piece)
            need(unpacked <= layer["unpacked"], f"{layer['digest']} grows beyond its size")
    tar.end(name, layer["size"])
    need("sha256:" + stored.hexdigest() == layer["digest"], f"{layer['digest']} has other content")
    found = "sha256:" + inflated.hexdigest()
    need(found == layer["diff-id"], f"{layer['digest']} inflates to other content")
    need(unpacked == layer["unpacked"], f"{layer['digest']} has another unpacked size")


def check_image(image, blobs, platform):
    manifest, config = (json.loads(blobs[image[key]]) for key in ("manifest", "config"))
    need(manifest["config"]["digest"] == image["config"], "a config is not that of its manifest")
    found = {"os": config["os"], "architecture": config["architecture"]}
    need(found == platform, f"{image['reference']} is for another platform")
    said = [(layer["digest"], layer["size"], layer["media-type"]) for layer in image["layers"]]
    is_ = [(layer["digest"], layer["size"], layer["mediaType"]) for layer in manifest["layers"]]
    need(said == is_, f"layers of {image['reference']} are not those of its manifest")
    diff_ids = [layer["diff-id"] for layer in image["layers"]]
    need(diff_ids == config["rootfs"]["diff_ids"], f"{image['reference']} has other diff ids")
    image["media-type-of-manifest"] = manifest.get("mediaType", OCI_MANIFEST)


def read_bundle(key, file):
    tar = Tar(file)
    need(tar.read("oci-layout", 30) == b'{"imageLayoutVersion":"1.0.0"}', "no bundle")
    index = tar.read("index.json")
    comment = verified(key, index, tar.read("index.json.minisig"))
    # From here on, everything has to follow from what is signed.
    docker = tar.read("manifest.json")
    first = json.loads(index)["manifests"][0]
    need(first["artifactType"] == ARTIFACT_TYPE, "index.json names no bundle")
    artifact = tar.document(first["digest"], first["size"])
    config = json.loads(artifact)["config"]
    need(config["mediaType"] == MANIFEST_TYPE, "the artifact has no bundle manifest")
    bundle = tar.document(config["digest"], config["size"])
    manifest = json.loads(bundle)
    need(manifest["format"] == 1, "the bundle is of a newer format")
    release = manifest["release"]
    said = "name={name} version={version} counter={counter}".format(**release)
    need(comment == f"{said} created={manifest['created']}", "the comment is of another bundle")

    sizes = {blob["digest"]: blob["size"] for blob in manifest["blobs"]}
    images = manifest["images"].values()
    layers = {layer["digest"]: layer for image in images for layer in image["layers"]}
    bytes_of_all = sum(layer["size"] + layer["unpacked"] for image in images for layer in image["layers"])
    need(bytes_of_all < 1 << 63, "sizes of layers add up to too much")
    need(expected_order(manifest, sizes) == manifest["blobs"], "the list of blobs is another one")
    absent = manifest.get("base", {}).get("absent", [])
    names = [blob["digest"] for blob in absent]
    need(names == sorted(set(names)), "absent layers are not sorted")
    for blob in absent:
        known = layers.get(blob["digest"])
        need(known and known["size"] == blob["size"], "an absent layer is none of an image")
    blobs = {}
    for blob in manifest["blobs"]:
        if blob["digest"] in layers:
            read_layer(tar, layers[blob["digest"]])
        else:
            blobs[blob["digest"]] = tar.document(blob["digest"], blob["size"])
    need(tar.take(2 * BLOCK) == bytes(2 * BLOCK), "the archive does not end in zeros")
    need(not file.read(1), "there are bytes behind the end")

    whole = json.loads(bundle)
    for image in images:
        check_image(image, blobs, manifest["platform"])
    stack_size = sizes[manifest["stack"]]
    computed = documents(manifest, bundle, stack_size, sizes)
    need(computed == (artifact, index, docker), "two documents contradict each other")
    return {"index": digest(index), "size": tar.at, "comment": comment, "manifest": whole}


def main():
    key, path = sys.argv[1:]
    try:
        with open(path, "rb") as file:
            print(json.dumps(read_bundle(key, file)))
    except (Wrong, KeyError, IndexError, TypeError, ValueError) as error:
        sys.exit(f"{path}: {error!r}" if not isinstance(error, Wrong) else f"{path}: {error}")


main()
