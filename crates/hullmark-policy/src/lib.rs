//! Policy: parse, validate, evaluate; exceptions.
