//! Find the software in an image: the Extractor trait, the walk, the merge, one directory per extractor.
