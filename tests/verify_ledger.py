#!/usr/bin/env python3
"""Verifies a Hullmark ledger without Hullmark: Python 3.9 or later, standard library only.

    verify_ledger.py LOG_DIR [--key VKEY_FILE] [--proof FILE --entry FILE]
    verify_ledger.py --bundle FILE [--key VKEY_FILE]

Written from the specifications alone, so that two implementations have to agree:
tlog-tiles, tlog-checkpoint, signed-note and tlog-proof (https://c2sp.org), RFC 6962 (tree), RFC 8032 (Ed25519).

Reads the checkpoint and checks its signature, hashes every entry, compares every hash of every tile, and the root.
With --proof and --entry it also checks that proof. With --bundle it checks an evidence bundle (`hullmark ledger export`,
described in docs/ledger.md) without the log: signature, every proof, and that every entry belongs to the image that the
bundle is about. Exit code 0: all of it holds. 1: something does not; the message
names the entry. 2: wrong usage.
"""

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import sys

WIDTH = 256
MAX_NOTE = 256 * 1024
MAX_BUNDLE = WIDTH * (2 + 65535)


class Invalid(Exception):
    """Something does not hold; the text says what and where."""


# --- Ed25519 (RFC 8032 section 5.1), verification only -------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

# Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, x*y = T/Z.
NEUTRAL = (0, 1, 1, 0)


def add_points(a, b):
    """The sum of two points, also of equal ones (section 5.1.4)."""
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    i, j, k, m = f - e, h - g, h + g, f + e
    return (i * j % P, k * m % P, j * k % P, i * m % P)


def multiply(scalar, point):
    """The point added to itself, scalar times."""
    total = NEUTRAL
    while scalar:
        if scalar & 1:
            total = add_points(total, point)
        point = add_points(point, point)
        scalar >>= 1
    return total


def same_point(a, b):
    """Whether two points are equal."""
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def decode_point(data):
    """The point that 32 bytes stand for, or None; only the shortest encoding counts (section 5.1.3)."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_verify(public, message, signature):
    """Whether the signature is valid. Points of small order, for which anyone can sign, are refused."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, commitment = decode_point(public), decode_point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= ORDER:
        return False
    if same_point(multiply(8, key), NEUTRAL) or same_point(multiply(8, commitment), NEUTRAL):
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    return same_point(multiply(scalar, BASE), add_points(commitment, multiply(challenge, key)))


# --- text forms ----------------------------------------------------------------------------------------------------


def from_base64(text, what):
    """Decodes base64; a second spelling of the same bytes is refused."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(f"{what}: not base64")
    if base64.b64encode(data).decode() != text:
        raise Invalid(f"{what}: not canonical base64")
    return data


def hash_from_base64(text, what):
    """Decodes a SHA-256 hash."""
    data = from_base64(text, what)
    if len(data) != 32:
        raise Invalid(f"{what}: a hash has 32 bytes, this has {len(data)}")
    return data


def decimal(text, what):
    """Reads a number without sign and leading zeroes, below 2^63."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and str(int(text)) == text and int(text) < 2**63):
        raise Invalid(f"{what}: `{text[:40]}` is not a decimal number below 2^63")
    return int(text)


def utf8(data, what):
    """Decodes text."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid(f"{what}: not UTF-8")


class Key:
    """A verifier key: name+id+base64 of type byte and public key."""

    def __init__(self, text, what):
        parts = text[:-1].split("+", 2) if text.endswith("\n") else text.split("+", 2)
        if len(parts) != 3 or not parts[0] or any(c.isspace() or ord(c) < 32 for c in parts[0]):
            raise Invalid(f"{what}: a key has a name, an id and base64, joined by `+`")
        self.name = parts[0]
        data = from_base64(parts[2], what)
        if len(data) != 33 or data[0] != 1:
            raise Invalid(f"{what}: not an Ed25519 key")
        self.public = data[1:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + data).digest()[:4]
        if parts[1] != self.id.hex():
            raise Invalid(f"{what}: the id does not belong to name and key")


def read_checkpoint(data, key, what):
    """Checks a checkpoint and its signature; gives size and root."""
    note = utf8(data, what)
    if any(ord(c) < 32 and c != "\n" for c in note):
        raise Invalid(f"{what}: contains a control character")
    end = note.rfind("\n\n")
    if end < 0 or not note.endswith("\n"):
        raise Invalid(f"{what}: not a signed note")
    text = note[: end + 1]
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise Invalid(f"{what}: needs origin, size and root, each on a line")
    if lines[0] != key.name:
        raise Invalid(f"{what}, line 1: it is of `{lines[0]}`, the key is of `{key.name}`")
    size = decimal(lines[1], f"{what}, line 2")
    root = hash_from_base64(lines[2], f"{what}, line 3")
    signed = False
    for number, line in enumerate(note[end + 2 : -1].split("\n"), len(lines) + 2):
        place = f"{what}, line {number}"
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or not parts[1] or "+" in parts[1]:
            raise Invalid(f"{place}: not a signature line")
        signature = from_base64(parts[2], place)
        if len(signature) < 5:
            raise Invalid(f"{place}: the signature is too short")
        if parts[1] == key.name and signature[:4] == key.id:
            if not ed25519_verify(key.public, text.encode(), signature[4:]):
                raise Invalid(f"{place}: the signature does not hold")
            signed = True
    if not signed:
        raise Invalid(f"{what}: not signed by the key of `{key.name}`")
    return size, root


# --- the tree (RFC 6962 section 2.1) -------------------------------------------------------------------------------


def leaf_hash(entry):
    """The hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left, right):
    """The hash of a node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_hash(hashes):
    """The Merkle tree hash, joining neighbours level by level; an odd one out moves up unchanged."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    while len(hashes) > 1:
        pairs = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes) - 1, 2)]
        hashes = pairs + hashes[len(hashes) - len(hashes) % 2 :]
    return hashes[0]


def root_by_path(leaf, index, size, path):
    """The root that an audit path leads to, or None when the path has the wrong length."""
    if size == 1:
        return leaf if not path else None
    if not path:
        return None
    split = 1 << ((size - 1).bit_length() - 1)
    if index < split:
        inner = root_by_path(leaf, index, split, path[:-1])
        return inner and node_hash(inner, path[-1])
    inner = root_by_path(leaf, index - split, size - split, path[:-1])
    return inner and node_hash(path[-1], inner)


# --- the files -----------------------------------------------------------------------------------------------------


def read_file(path, limit, what):
    """Reads a plain file of at most limit bytes."""
    try:
        if os.path.islink(path) or not os.path.isfile(path):
            raise Invalid(f"{what} is absent or not a plain file" if os.path.lexists(path) else f"{what} is absent")
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise Invalid(f"{what} cannot be read: {error.strerror}")
    if len(data) > limit:
        raise Invalid(f"{what} has more than {limit} bytes")
    return data


def resource_name(kind, index, width):
    """The name of a tile or bundle: three digits to a directory, `.p/WIDTH` when it is not full."""
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03}")
    return f"tile/{kind}/" + "/".join(groups) + (f".p/{width}" if width < WIDTH else "")


class Log:
    """A ledger in a directory."""

    def __init__(self, directory, size):
        self.directory = directory
        self.size = size

    def read(self, name, limit, what):
        """Reads one of its files."""
        return read_file(os.path.join(self.directory, *name.split("/")), limit, f"{what}: `{name}`")

    def tile(self, level, index, width):
        """The name and the hashes of a tile."""
        name = resource_name(level, index, width)
        span = WIDTH**level
        first = index * WIDTH * span
        what = f"entries {first} to {first + width * span - 1}"
        data = self.read(name, WIDTH * 32, what)
        if len(data) != 32 * width:
            whole = min(len(data) // 32, width - 1)
            raise Invalid(f"from entry {first + whole * span} on: `{name}` has {len(data)} bytes, not {32 * width}")
        return name, [data[i : i + 32] for i in range(0, len(data), 32)]

    def leaves(self):
        """The hashes of all entries, each compared with its tile."""
        hashes = []
        for index in range((self.size + WIDTH - 1) // WIDTH):
            first = index * WIDTH
            width = min(WIDTH, self.size - first)
            name = resource_name("entries", index, width)
            data = self.read(name, MAX_BUNDLE, f"entries {first} to {first + width - 1}")
            tile_name, recorded = self.tile(0, index, width)
            offset = 0
            for position in range(width):
                start, offset = offset, offset + 2
                offset += int.from_bytes(data[start:offset], "big")
                if start + 2 > len(data) or offset > len(data):
                    raise Invalid(f"entry {first + position} cannot be read: `{name}` breaks off at byte {start}")
                computed = leaf_hash(data[start + 2 : offset])
                if computed != recorded[position]:
                    raise Invalid(
                        f"entry {first + position} does not match its hash: `{name}` at byte {start}, "
                        f"`{tile_name}` at byte {32 * position}"
                    )
                hashes.append(computed)
            if offset != len(data):
                raise Invalid(f"entry {first + width - 1} cannot be read: in `{name}` bytes follow the last entry")
        return hashes

    def verify(self, root):
        """Checks everything against the signed root."""
        leaves = self.leaves()
        hashes, level = leaves, 0
        while hashes:
            above = []
            for index in range((len(hashes) + WIDTH - 1) // WIDTH):
                computed = hashes[index * WIDTH : (index + 1) * WIDTH]
                # Level 0 was compared together with the entries.
                if level > 0:
                    self.compare(level, index, computed)
                if len(computed) == WIDTH:
                    above.append(tree_hash(computed))
            hashes, level = above, level + 1
        if tree_hash(leaves) != root:
            raise Invalid(f"the {self.size} entries (0 to {self.size - 1}) are not those that were signed")

    def compare(self, level, index, computed):
        """Compares a tile above the lowest level with what the entries give."""
        name, recorded = self.tile(level, index, len(computed))
        for position, (ours, theirs) in enumerate(zip(computed, recorded)):
            if ours != theirs:
                first = (index * WIDTH + position) * WIDTH**level
                raise Invalid(
                    f"entries {first} to {first + WIDTH**level - 1} do not match `{name}` at byte {32 * position}"
                )


def verify_proof(data, entry, key, what):
    """Checks a proof for an entry; gives the index and the size of the ledger it was made in."""
    text = utf8(data, what)
    head, separator, checkpoint = text.partition("\n\n")
    if not separator:
        raise Invalid(f"{what}: no blank line before the checkpoint")
    lines = head.split("\n")
    if lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise Invalid(f"{what}, line 1: not a proof")
    if lines and lines[0].startswith("extra "):
        from_base64(lines.pop(0)[6:], f"{what}, line 2")
    if not lines or not lines[0].startswith("index "):
        raise Invalid(f"{what}: no index")
    index = decimal(lines.pop(0)[6:], f"{what}, index")
    if len(lines) > 63:
        raise Invalid(f"{what}: more than 63 hashes")
    path = [hash_from_base64(line, f"{what}, hash {number}") for number, line in enumerate(lines)]
    size, root = read_checkpoint(checkpoint.encode(), key, f"{what}, checkpoint")
    if index >= size or root_by_path(leaf_hash(entry), index, size, path) != root:
        raise Invalid(f"{what}: it does not hold for entry {index} of {size}: the given entry is not the one signed")
    return index, size


# --- evidence bundles ----------------------------------------------------------------------------------------------

MAX_EVIDENCE = 256 * 1024 * 1024
DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})(?![0-9A-Fa-f])")
ADMINISTRATIVE = ("policy", "exception", "server", "token")


def members(pairs):
    """An object of a JSON document; a name that is there twice is refused."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Invalid("a JSON object has two members of one name")
    return found


def no_number(word):
    """Refuses NaN and Infinity, which JSON does not have."""
    raise Invalid(f"`{word}` is not JSON")


def read_json(text, what):
    """Reads a JSON document, strictly."""
    try:
        return json.loads(text, object_pairs_hook=members, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{what}: not a JSON document: {error}")


def is_number(value):
    """Whether a value is a whole number; Python takes true for 1."""
    return isinstance(value, int) and not isinstance(value, bool)


def shape(value, form, what):
    """Checks that an object has exactly these members of these types."""
    if not isinstance(value, dict) or set(value) != set(form):
        raise Invalid(f"{what}: expected an object with exactly {', '.join(sorted(form))}")
    for name, kind in form.items():
        if not (is_number(value[name]) if kind is int else isinstance(value[name], kind)):
            raise Invalid(f"{what}: `{name}` is of the wrong type")


def digest_texts(texts):
    """All digests that stand in some texts."""
    return {digest for text in texts for digest in DIGEST.findall(text)}


class Record:
    """What of an entry says what it is about."""

    def __init__(self, entry, what):
        value = read_json(utf8(entry, what), what)
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            raise Invalid(f"{what}: not a record")
        self.kind = value["kind"]
        self.details = [text for text in (value.get("detail") or {}).values() if isinstance(text, str)]
        subject = value.get("subject")
        image = subject if subject is not None else value.get("image") or {}
        self.index, self.manifest, self.config = (image.get(name) for name in ("index", "manifest", "config"))
        self.names = [image.get("name") or "", *(image.get("references") or [])]
        inputs = value.get("inputs") or {}
        self.rests_on = {inputs.get(name) for name in ("policy", "exceptions", "database")}
        used = ("used", "expiring-soon")
        self.exceptions = {e["id"] for e in value.get("exceptions") or [] if e.get("status") in used}
        link = value.get("verdict")
        if isinstance(link, dict):
            self.rests_on |= {link.get("policy_digest"), link.get("database")}
            self.exceptions |= set(link.get("exceptions") or [])
        self.rests_on.discard(None)

    def digests(self):
        """The digests of its image."""
        return {digest for digest in (self.index, self.manifest, self.config) if digest}

    def is_administrative(self):
        """Whether it is about no image whatever it names."""
        return self.kind in ADMINISTRATIVE


class Image:
    """The digests of the image that a bundle is about, as far as its records tell them."""

    def __init__(self, about, records):
        self.about, self.own, self.indexes = about, {about}, set()
        images = [record for record in records if not record.is_administrative()]
        about_is_index = any(record.index == about for record in images)
        before = None
        while before != (len(self.own), len(self.indexes)):
            before = len(self.own), len(self.indexes)
            for record in images:
                if self.names(record):
                    self.own |= {digest for digest in (record.manifest, record.config) if digest}
                    # An image does not lead to the others in its index, nor an index to other indexes.
                    if record.index and not about_is_index:
                        self.indexes.add(record.index)

    def names(self, record):
        """Whether the record names the image by a digest that no other image has."""
        return record.manifest in self.own or record.config in self.own or record.index == self.about

    def is_of(self, record):
        """Whether the record is about the image."""
        known = self.own | self.indexes
        if record.is_administrative():
            return False
        if digest_texts(record.details) & known:
            return True
        if record.digests():
            return self.names(record) or record.digests() <= known
        return bool(digest_texts(record.names) & known)


def check_content(about, entries, documents):
    """Checks that all entries belong to one image; gives how many are about it and how many those rest on."""
    try:
        records = {index: Record(entry, f"entry {index}") for index, entry in entries}
    except (AttributeError, KeyError, TypeError):
        raise Invalid("an entry is not a record")
    image = Image(about, records.values())
    ours = {index for index, record in records.items() if image.is_of(record)}
    if not ours:
        raise Invalid(f"no entry is about {about}")
    rests_on = set().union(*(records[index].rests_on for index in ours))
    exceptions = set().union(*(records[index].exceptions for index in ours))
    for index, record in records.items():
        basis = rests_on if record.kind in ("policy", "server") else exceptions if record.kind == "exception" else set()
        if index not in ours and not basis & set(record.details):
            raise Invalid(f"entry {index} is not about {about}, nor does an entry about it rest on it")
    for digest in documents:
        if not any(digest in DIGEST.findall(utf8(entry, "entry")) for _, entry in entries):
            raise Invalid(f"no entry names the document {digest}")
    return len(ours), len(records) - len(ours)


def verify_bundle(data, key, what):
    """Checks an evidence bundle; gives a sentence about it."""
    bundle = read_json(utf8(data, what), what)
    if isinstance(bundle, dict) and bundle.get("format") != "hullmark-evidence-1":
        raise Invalid(f"{what}: not of the format `hullmark-evidence-1`")
    texts = {name: str for name in ("format", "about", "origin", "key", "checkpoint")}
    shape(bundle, {**texts, "entries": list, "documents": list}, what)
    about = bundle["about"]
    if not DIGEST.fullmatch(about):
        raise Invalid(f"{what}: it does not say what it is about")
    if bundle["key"].endswith("\n"):
        raise Invalid(f"{what}: something follows the key")
    own = Key(bundle["key"], f"{what}, key")
    if key is not None and (key.name, key.public) != (own.name, own.public):
        raise Invalid(f"{what}: it is of the key `{own.name}+{own.id.hex()}`, not of the given one")
    size, root = read_checkpoint(bundle["checkpoint"].encode(), own, f"{what}, checkpoint")
    if bundle["origin"] != own.name:
        raise Invalid(f"{what}: it says another origin than its key")
    if not 0 < len(bundle["entries"]) <= 20000 or len(bundle["documents"]) > 1000:
        raise Invalid(f"{what}: it has no entries, or too many entries or documents")
    entries, last = [], -1
    for position, item in enumerate(bundle["entries"]):
        place = f"{what}, number {position}"
        shape(item, {"index": int, "entry": str, "proof": list}, place)
        index, entry = item["index"], from_base64(item["entry"], place)
        if not last < index < 2**64 or len(entry) > 65535 or len(item["proof"]) > 63:
            raise Invalid(f"{place}: out of order, or longer than any entry or proof")
        last = index
        if not all(isinstance(text, str) for text in item["proof"]):
            raise Invalid(f"{place}: a hash is not a text")
        path = [hash_from_base64(text, place) for text in item["proof"]]
        if index >= size or root_by_path(leaf_hash(entry), index, size, path) != root:
            raise Invalid(f"{what}: the proof of entry {index} of {size} does not hold")
        entries.append((index, entry))
    documents = []
    for item in bundle["documents"]:
        shape(item, {"digest": str, "bytes": str}, f"{what}, document")
        found = "sha256:" + hashlib.sha256(from_base64(item["bytes"], f"{what}, document")).hexdigest()
        if found != item["digest"] or (documents and documents[-1] >= found):
            raise Invalid(f"{what}: the document {item['digest'][:80]} was changed, or is out of order or there twice")
        documents.append(found)
    ours, basis = check_content(about, entries, documents)
    return (
        f"{own.name}: {len(entries)} entries of {size} verified: {ours} about {about}, {basis} that those rest on, "
        f"{len(documents)} documents"
    )


def run_bundle(arguments):
    """Verifies a bundle; raises Invalid at the first thing that does not hold."""
    what = f"`{arguments.bundle}`"
    key = None
    if arguments.key:
        key = Key(utf8(read_file(arguments.key, 1024, f"`{arguments.key}`"), f"`{arguments.key}`"), f"`{arguments.key}`")
    data = read_file(arguments.bundle, MAX_EVIDENCE, what)
    try:
        print(verify_bundle(data, key, what))
    except UnicodeEncodeError:
        raise Invalid(f"{what}: it has a text that is no Unicode text")
    print("not verified: that the ledger has no other entries about the image; that takes the ledger")
    if key is None:
        print(f"the key is the bundle's own; compare it with one obtained elsewhere: {read_json(data, what)['key']}")


def run(arguments):
    """Verifies what the arguments name; raises Invalid at the first thing that does not hold."""
    key_path = arguments.key or os.path.join(arguments.directory, "ledger.pub")
    key = Key(utf8(read_file(key_path, 1024, f"`{key_path}`"), f"`{key_path}`"), f"`{key_path}`")
    checkpoint = read_file(os.path.join(arguments.directory, "checkpoint"), MAX_NOTE, "`checkpoint`")
    size, root = read_checkpoint(checkpoint, key, "`checkpoint`")
    Log(arguments.directory, size).verify(root)
    print(f"{key.name}: {size} entries verified, root {base64.b64encode(root).decode()}")
    if arguments.proof:
        proof = read_file(arguments.proof, 2 * MAX_NOTE + 8192, f"`{arguments.proof}`")
        entry = read_file(arguments.entry, 65535, f"`{arguments.entry}`")
        index, at = verify_proof(proof, entry, key, f"`{arguments.proof}`")
        print(f"{key.name}: the proof holds: the entry is number {index} of {at}")


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Verifies a Hullmark ledger without Hullmark.")
    parser.add_argument("directory", metavar="LOG_DIR", nargs="?", help="the directory of the ledger")
    parser.add_argument("--key", metavar="VKEY_FILE", help="the public key to trust (default: LOG_DIR/ledger.pub)")
    parser.add_argument("--proof", metavar="FILE", help="a proof to check")
    parser.add_argument("--entry", metavar="FILE", help="the entry that the proof is of")
    parser.add_argument("--bundle", metavar="FILE", help="an evidence bundle to check without the ledger")
    arguments = parser.parse_args()
    if bool(arguments.proof) != bool(arguments.entry):
        parser.error("--proof and --entry belong together")
    if bool(arguments.directory) == bool(arguments.bundle) or (arguments.bundle and arguments.proof):
        parser.error("give either LOG_DIR or --bundle")
    try:
        run_bundle(arguments) if arguments.bundle else run(arguments)
    except Invalid as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
