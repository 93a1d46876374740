//! Reports: table, JSON, SARIF, CycloneDX.
