"""Checks SBOMs by what the authors of the formats publish: validate_sbom.py <form> <file>...

CycloneDX by the schemas that `cyclonedx-python-lib` carries, SPDX 2 by `spdx-tools`, SPDX 3 by `spdx-python-model`, which the SPDX project
generates from its model. Writes one line for each problem; the exit code is 0 when there is none and 1 otherwise.
"""

import contextlib
import io
import logging
import sys


def cyclonedx(validator, text):
    from cyclonedx.schema import SchemaVersion

    problem = validator(SchemaVersion.V1_6).validate_str(text)
    return [str(problem)[:2000]] if problem else []


def cyclonedx_json(path):
    from cyclonedx.validation.json import JsonStrictValidator

    return cyclonedx(JsonStrictValidator, open(path, encoding="utf-8").read())


def cyclonedx_xml(path):
    from cyclonedx.validation.xml import XmlValidator

    return cyclonedx(XmlValidator, open(path, encoding="utf-8").read())


def spdx_2(parse, path):
    from spdx_tools.spdx.parser.error import SPDXParsingError
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    try:
        document = parse(path)
    except SPDXParsingError as error:
        return [str(message) for message in error.get_messages()]
    return [message.validation_message for message in validate_full_spdx_document(document)]


def spdx_json(path):
    from spdx_tools.spdx.parser.json.json_parser import parse_from_file

    return spdx_2(parse_from_file, path)


def spdx_tag_value(path):
    from spdx_tools.spdx.parser.tagvalue.tagvalue_parser import parse_from_file

    return spdx_2(parse_from_file, path)


def spdx3_json(path):
    from spdx_python_model import v3_0_1 as model

    objects = model.SHACLObjectSet()
    try:
        with open(path, "rb") as file:
            model.JSONLDDeserializer().read(file, objects)
        # Writing checks that nothing is missing that must be there.
        model.JSONLDSerializer().write(objects, io.BytesIO())
    except Exception as error:  # The library has no class of its own for what is wrong.
        return [f"{type(error).__name__}: {error}"]
    return [f"no element is called {name}" for name in sorted(map(str, objects.missing_ids))]


FORMS = {
    "cyclonedx-json": cyclonedx_json,
    "cyclonedx-xml": cyclonedx_xml,
    "spdx-json": spdx_json,
    "spdx-tag-value": spdx_tag_value,
    "spdx3-json": spdx3_json,
}


def main():
    logging.disable(logging.CRITICAL)
    form, *paths = sys.argv[1:]
    # The parser of tags and values says on standard error that it makes its tables.
    with contextlib.redirect_stderr(io.StringIO()):
        problems = [f"{path}: {problem}" for path in paths for problem in FORMS[form](path)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
