//! Writing CycloneDX 1.6 in XML (<https://cyclonedx.org/docs/1.6/xml/>): what the document in JSON says.

use std::io;

use hullmark_types::Inventory;
use serde_json::Value;

use super::cyclonedx;
use crate::Tool;

/// Writes an inventory as a CycloneDX 1.6 document in XML; it says what [`cyclonedx()`] says.
///
/// # Errors
/// When `out` cannot be written to.
pub fn cyclonedx_xml(inventory: &Inventory, tool: &Tool, out: &mut dyn io::Write) -> io::Result<()> {
    let document = cyclonedx(inventory, tool).map_err(io::Error::other)?;
    let mut xml = Xml { out, depth: 0 };
    writeln!(xml.out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    xml.open(
        "bom",
        &[
            ("xmlns", "http://cyclonedx.org/schema/bom/1.6"),
            ("serialNumber", text(&document, "serialNumber")),
            ("version", "1"),
        ],
    )?;
    if let Some(metadata) = document.get("metadata") {
        xml.open("metadata", &[])?;
        xml.open("tools", &[])?;
        xml.components(metadata.get("tools"))?;
        xml.close("tools")?;
        if let Some(described) = metadata.get("component") {
            xml.component(described)?;
        }
        xml.close("metadata")?;
    }
    xml.components(Some(&document))?;
    xml.open("dependencies", &[])?;
    for dependency in list(&document, "dependencies") {
        xml.open("dependency", &[("ref", text(dependency, "ref"))])?;
        for needed in list(dependency, "dependsOn") {
            xml.leaf("dependency", &[("ref", needed.as_str().unwrap_or_default())], "")?;
        }
        xml.close("dependency")?;
    }
    xml.close("dependencies")?;
    xml.properties(&document)?;
    xml.close("bom")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Elements, one in a line.
struct Xml<'a> {
    out: &'a mut dyn io::Write,
    depth: usize,
}

impl Xml<'_> {
    fn start(&mut self, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
        write!(self.out, "{:width$}<{name}", "", width = 2 * self.depth)?;
        for (key, value) in attributes {
            write!(self.out, " {key}=\"{}\"", escaped(value))?;
        }
        Ok(())
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
        self.start(name, attributes)?;
        self.depth += 1;
        writeln!(self.out, ">")
    }

    fn close(&mut self, name: &str) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        writeln!(self.out, "{:width$}</{name}>", "", width = 2 * self.depth)
    }

    /// An element that holds a text, or nothing.
    fn leaf(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) -> io::Result<()> {
        self.start(name, attributes)?;
        match text {
            "" => writeln!(self.out, "/>"),
            text => writeln!(self.out, ">{}</{name}>", escaped(text)),
        }
    }

    /// A text of the document, when it has one.
    fn member(&mut self, value: &Value, name: &str) -> io::Result<()> {
        match value.get(name).and_then(Value::as_str) {
            Some(text) => self.leaf(name, &[], text),
            None => Ok(()),
        }
    }

    fn components(&mut self, holder: Option<&Value>) -> io::Result<()> {
        self.open("components", &[])?;
        for component in holder.into_iter().flat_map(|holder| list(holder, "components")) {
            self.component(component)?;
        }
        self.close("components")
    }

    /// A component; the schema prescribes the order of its members.
    fn component(&mut self, component: &Value) -> io::Result<()> {
        let mut attributes = vec![("type", text(component, "type"))];
        if component.get("bom-ref").is_some() {
            attributes.push(("bom-ref", text(component, "bom-ref")));
        }
        self.open("component", &attributes)?;
        if let Some(supplier) = component.get("supplier") {
            self.open("supplier", &[])?;
            self.member(supplier, "name")?;
            self.close("supplier")?;
        }
        for name in ["group", "name", "version", "description", "scope"] {
            self.member(component, name)?;
        }
        if component.get("hashes").is_some() {
            self.open("hashes", &[])?;
            for hash in list(component, "hashes") {
                self.leaf("hash", &[("alg", text(hash, "alg"))], text(hash, "content"))?;
            }
            self.close("hashes")?;
        }
        if component.get("licenses").is_some() {
            self.open("licenses", &[])?;
            for choice in list(component, "licenses") {
                self.member(choice, "expression")?;
                if let Some(license) = choice.get("license") {
                    self.open("license", &[])?;
                    self.member(license, "id")?;
                    self.member(license, "name")?;
                    self.close("license")?;
                }
            }
            self.close("licenses")?;
        }
        self.member(component, "cpe")?;
        self.member(component, "purl")?;
        self.properties(component)?;
        if let Some(evidence) = component.get("evidence") {
            self.evidence(evidence)?;
        }
        self.close("component")
    }

    fn properties(&mut self, holder: &Value) -> io::Result<()> {
        if holder.get("properties").is_none() {
            return Ok(());
        }
        self.open("properties", &[])?;
        for property in list(holder, "properties") {
            self.leaf("property", &[("name", text(property, "name"))], &in_json(text(property, "value")))?;
        }
        self.close("properties")
    }

    fn evidence(&mut self, evidence: &Value) -> io::Result<()> {
        self.open("evidence", &[])?;
        for identity in list(evidence, "identity") {
            self.open("identity", &[])?;
            self.member(identity, "field")?;
            self.confidence(identity)?;
            self.open("methods", &[])?;
            for method in list(identity, "methods") {
                self.open("method", &[])?;
                self.member(method, "technique")?;
                self.confidence(method)?;
                self.member(method, "value")?;
                self.close("method")?;
            }
            self.close("methods")?;
            self.close("identity")?;
        }
        let occurrences = list(evidence, "occurrences");
        if !occurrences.is_empty() {
            self.open("occurrences", &[])?;
            for occurrence in occurrences {
                self.open("occurrence", &[])?;
                self.member(occurrence, "location")?;
                self.close("occurrence")?;
            }
            self.close("occurrences")?;
        }
        self.close("evidence")
    }

    fn confidence(&mut self, value: &Value) -> io::Result<()> {
        match value.get("confidence") {
            Some(confidence) => self.leaf("confidence", &[], &confidence.to_string()),
            None => Ok(()),
        }
    }
}

/// Whether XML 1.0 may hold a character at all, escaped or not.
fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// A text within an element or an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => escaped.push_str(&format!("&#{};", u32::from(character))),
            other if is_allowed(other) => escaped.push(other),
            _ => escaped.push(char::REPLACEMENT_CHARACTER),
        }
    }
    escaped
}

/// The value of a property, which is JSON: what XML may not hold is escaped as JSON has it.
fn in_json(text: &str) -> String {
    if text.chars().all(is_allowed) {
        return text.to_owned();
    }
    let escape = |one: char| match is_allowed(one) {
        true => one.to_string(),
        false => format!("\\u{:04x}", u32::from(one)),
    };
    text.chars().map(escape).collect()
}
