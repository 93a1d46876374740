-- The images of an index, whatever repository it was seen in.
CREATE INDEX manifest_parts_by_digest ON manifest_parts (digest, kind, part);
