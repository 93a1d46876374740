//! Reading CycloneDX in XML (<https://cyclonedx.org/docs/1.6/xml/>): the same document as in JSON.

use hullmark_types::Inventory;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::read::{
    Component, Dependency, Document, Hash, License, LicenseChoice, Named, Property, SbomError, Tools,
    of_document,
};
use crate::sbom::MAX_COMPONENTS;

/// How deep elements may be in each other.
const MAX_DEPTH: usize = 256;

/// Reads a document in XML.
///
/// # Errors
/// When it is not XML, or not a CycloneDX document.
pub(crate) fn parse_xml(bytes: &[u8]) -> Result<Inventory, SbomError> {
    let text = std::str::from_utf8(bytes).map_err(|error| SbomError::Xml(error.to_string()))?;
    let mut reader = Reader::from_str(text);
    let mut reading = Reading::default();
    loop {
        let at = reader.buffer_position();
        let failed = |problem: String| SbomError::Xml(format!("byte {at}: {problem}"));
        match reader.read_event().map_err(|error| failed(error.to_string()))? {
            Event::Start(element) => {
                if reading.path.len() >= MAX_DEPTH {
                    return Err(failed(format!("elements are more than {MAX_DEPTH} deep in each other")));
                }
                reading.start(&element).map_err(failed)?;
            }
            Event::Empty(element) => {
                reading.start(&element).map_err(failed)?;
                reading.end();
            }
            Event::End(_) => reading.end(),
            Event::Text(found) => {
                reading.text.push_str(&found);
            }
            Event::CData(found) => reading.text.push_str(&found),
            Event::GeneralRef(entity) => {
                let name: &str = &entity;
                let known = match name {
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "amp" => Some('&'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    _ => character(name),
                };
                reading.text.push(known.ok_or_else(|| failed(format!("`&{name};` is not known")))?);
            }
            Event::Eof => break,
            _ => {}
        }
        if reading.count > MAX_COMPONENTS {
            return Err(SbomError::Components { count: reading.count });
        }
    }
    if reading.document.bom_format.is_empty() {
        return Err(SbomError::Format { found: reading.root });
    }
    of_document(reading.document)
}

/// `#65` or `#x41`.
fn character(name: &str) -> Option<char> {
    let number = name.strip_prefix('#')?;
    let number = match number.strip_prefix('x') {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(number)
}

#[derive(Default)]
struct Reading {
    document: Document,
    /// The name of the outermost element.
    root: String,
    path: Vec<String>,
    /// The components that the place is in, the outermost first.
    components: Vec<Component>,
    text: String,
    count: usize,
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    let found = element.attributes().find(|one| one.as_ref().is_ok_and(|one| one.key.as_ref() == name));
    match found {
        Some(Ok(found)) => {
            let value = found
                .normalized_value(quick_xml::XmlVersion::Explicit1_0)
                .map_err(|error| error.to_string())?;
            Ok(Some(value.into_owned()))
        }
        _ => Ok(None),
    }
}

impl Reading {
    fn parent(&self, above: usize) -> &str {
        self.path.len().checked_sub(above).and_then(|at| self.path.get(at)).map_or("", String::as_str)
    }

    /// Whether the place is among the tools that made the document, which are no components of what it is about.
    fn is_in_tools(&self) -> bool {
        self.path.get(1).is_some_and(|name| name == "metadata")
            && self.path.get(2).is_some_and(|name| name == "tools")
    }

    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        let name = element.local_name().as_ref().to_owned();
        if self.path.is_empty() {
            let space = attribute(element, "xmlns")?.unwrap_or_default();
            if name == "bom" && space.starts_with("http://cyclonedx.org/schema/bom/") {
                self.document.bom_format = "CycloneDX".to_owned();
            }
            self.root = name.chars().take(50).collect();
        }
        if self.is_in_tools() {
            self.path.push(name);
            self.text.clear();
            return Ok(());
        }
        let said = |name: &str| attribute(element, name).map(Option::unwrap_or_default);
        let within = self.parent(1).to_owned();
        match (within.as_str(), name.as_str()) {
            ("components" | "metadata", "component") => {
                self.count += 1;
                self.components.push(Component {
                    kind: said("type")?,
                    reference: said("bom-ref")?,
                    ..Component::default()
                });
            }
            ("hashes", "hash") => {
                let hash = Hash { alg: said("alg")?, content: String::new() };
                if let Some(component) = self.components.last_mut() {
                    component.hashes.push(hash);
                }
            }
            ("licenses", "license") => {
                let choice = LicenseChoice { license: Some(License::default()), expression: None };
                if let Some(component) = self.components.last_mut() {
                    component.licenses.push(choice);
                }
            }
            ("properties", "property") => {
                let property = Property { name: said("name")?, value: None };
                match self.components.last_mut() {
                    Some(component) => component.properties.push(property),
                    None => self.document.properties.push(property),
                }
            }
            ("dependencies", "dependency") => {
                let reference = said("ref")?;
                self.document.dependencies.push(Dependency { reference, depends_on: Vec::new() });
            }
            ("dependency", "dependency") => {
                let reference = said("ref")?;
                if let Some(dependency) = self.document.dependencies.last_mut() {
                    dependency.depends_on.push(reference);
                }
            }
            _ => {}
        }
        self.path.push(name);
        self.text.clear();
        Ok(())
    }

    fn end(&mut self) {
        let Some(name) = self.path.pop() else { return };
        let text = std::mem::take(&mut self.text).trim().to_owned();
        if self.is_in_tools() {
            if name == "name" && matches!(self.parent(1), "tool" | "component") {
                let tool = Named { name: Some(text) };
                match &mut self.document.metadata.tools {
                    Tools::Named(tools) => tools.push(tool),
                    other => *other = Tools::Named(vec![tool]),
                }
            }
            return;
        }
        let within = self.parent(1).to_owned();
        if name == "component" && matches!(within.as_str(), "components" | "metadata") {
            let Some(component) = self.components.pop() else { return };
            match (self.components.last_mut(), within.as_str()) {
                (Some(above), _) => above.components.push(component),
                (None, "metadata") => self.document.metadata.component = Some(component),
                (None, _) => self.document.components.push(component),
            }
            return;
        }
        if within == "properties" && name == "property" {
            let properties = match self.components.last_mut() {
                Some(component) => &mut component.properties,
                None => &mut self.document.properties,
            };
            properties.last_mut().into_iter().for_each(|last| last.value = Some(text.clone()));
            return;
        }
        let above = self.parent(2).to_owned();
        let Some(component) = self.components.last_mut() else { return };
        let license = component.licenses.last_mut().and_then(|choice| choice.license.as_mut());
        match (above.as_str(), within.as_str(), name.as_str()) {
            (_, "component", "name") => component.name = text,
            (_, "component", "version") => component.version = Some(text),
            (_, "component", "purl") => component.purl = Some(text),
            (_, "hashes", "hash") => {
                component.hashes.last_mut().into_iter().for_each(|hash| hash.content = text.clone())
            }
            ("component", "licenses", "expression") => {
                component.licenses.push(LicenseChoice { license: None, expression: Some(text) });
            }
            (_, "license", "id") => license.into_iter().for_each(|license| license.id = Some(text.clone())),
            (_, "license", "name") => {
                license.into_iter().for_each(|license| license.name = Some(text.clone()))
            }
            ("component", "supplier", "name") => component.supplier = Some(Named { name: Some(text) }),
            _ => {}
        }
    }
}
