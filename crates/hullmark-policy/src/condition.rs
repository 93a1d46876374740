//! Conditions: CEL text into a checked expression, and its value for a subject.

use std::sync::Arc;

use cel::common::ast::SourceInfo;
use cel::parser::Parser;
use cel::{Context, ExecutionError, IdedExpr, Value};
use hullmark_types::Severity;

use crate::RuleSubject;
use crate::check;
use crate::error::Problems;
use crate::facts::{Facts, Field, constant, map, objects_of, rank};
use crate::reserved;
use crate::yaml::{Node, Place, shorten};

/// The longest condition, in characters. With the limits on nesting it bounds the work of parsing and evaluating.
pub(crate) const MAX_LENGTH: usize = 2_000;

/// How deep brackets and calls may nest for the parser.
const MAX_NESTING: u16 = 24;

/// A condition that was parsed and type-checked.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) text: String,
    expression: IdedExpr,
}

impl Condition {
    /// Parses and checks the condition `text`, which stands at `node` of the file `source`.
    pub(crate) fn compile(
        subject: RuleSubject,
        fields: &[Field],
        text: &str,
        node: &Node,
        source: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        if let Err((offset, message)) = bounded(text) {
            problems.add(
                place_of(text, offset, node, source),
                message,
                Some("split the rule in several".to_owned()),
            );
            return None;
        }
        let parsed = Parser::new()
            .max_recursion_depth(MAX_NESTING)
            .error_recovery_limit(5)
            .parse_with_source_info(&reserved::rename(text));
        let (expression, info) = match parsed {
            Ok(parsed) => parsed,
            Err(errors) => {
                for error in errors.errors.iter().take(3) {
                    let at = offset_of(text, error.pos);
                    let message = format!("not a CEL condition: {}", shorten(error.msg.trim()));
                    problems.add(place_of(text, at, node, source), message, None);
                }
                if errors.errors.is_empty() {
                    problems.add(node.place, "not a CEL condition", None);
                }
                return None;
            }
        };
        let mistakes = check::check(subject, fields, &expression);
        if mistakes.is_empty() {
            return Some(Self { text: text.to_owned(), expression });
        }
        for mistake in mistakes {
            let at = start_of(&info, mistake.node, text);
            problems.add(place_of(text, at, node, source), mistake.message, mistake.hint);
        }
        None
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// When it divides by zero, overflows, or asks a map or list for what is not there.
    pub(crate) fn holds(&self, scope: &Context<'_, '_>) -> Result<bool, String> {
        match scope.resolve(&self.expression) {
            Ok(Value::Bool(value)) => Ok(value),
            Ok(other) => Err(format!("the condition gave a {} and not a bool", other.type_of())),
            Err(error) => Err(shorten_to(&error.to_string(), 200)),
        }
    }
}

fn shorten_to(text: &str, most: usize) -> String {
    text.chars().take(most).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Refuses texts that would cost the recursive parser too much.
fn bounded(text: &str) -> Result<(), (usize, String)> {
    let mut depth = 0_u16;
    for (position, letter) in text.chars().enumerate() {
        if position >= MAX_LENGTH {
            return Err((position, format!("a condition has at most {MAX_LENGTH} characters")));
        }
        match letter {
            '(' | '[' | '{' | '?' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            return Err((position, format!("a condition nests at most {MAX_NESTING} deep")));
        }
    }
    // Chains such as `a.b.c` and `a + b + c` nest in the tree although they do not in the text.
    let links =
        text.chars().filter(|letter| matches!(letter, '.' | '+' | '*' | '/' | '%' | '-' | '!')).count();
    match links > 300 {
        true => Err((0, "a condition has at most 300 operators and fields".to_owned())),
        false => Ok(()),
    }
}

/// A context with the constants and functions that all conditions share.
pub(crate) fn root_scope<'p, 'v>() -> Context<'p, 'v> {
    let mut scope = Context::default();
    for level in Severity::ALL {
        scope.add_variable_from_value(constant(level), Value::Int(rank(level)));
    }
    let read = |text: Arc<String>| -> Result<i64, ExecutionError> {
        crate::durations::parse(&text).ok_or_else(|| {
            ExecutionError::function_error("duration", format!("`{}` is not a duration", shorten(&text)))
        })
    };
    // The name is free: the library has durations of its own only with its feature `chrono`. A test holds this.
    let _ = scope.add_function("duration", read);
    scope
}

/// Binds the objects that a rule on `subject` sees and that are not bound in a scope further out.
pub(crate) fn bind(scope: &mut Context<'_, '_>, subject: RuleSubject, fields: &[Field], facts: &Facts<'_>) {
    for object in objects_of(subject).iter().filter(|object| **object != "image") {
        scope.add_variable_from_value(reserved::bound(object), object_value(object, fields, facts));
    }
}

/// The object `name` with all its facts.
pub(crate) fn object_value(name: &str, fields: &[Field], facts: &Facts<'_>) -> Value {
    let of = fields.iter().filter(|field| field.object == name);
    map(of.map(|field| (field.name, (field.get)(facts).to_value())))
}

/// Where the node `id` starts in the condition, in characters; the parser counts bytes.
fn start_of(info: &SourceInfo, id: u64, text: &str) -> usize {
    let bytes = info.offset_for(id).map_or(0, |(start, _)| usize::try_from(start).unwrap_or(0));
    text.char_indices().take_while(|(at, _)| *at < bytes).count()
}

/// The character offset of a line (from 1) and column (from 0) in `text`.
fn offset_of(text: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line).unwrap_or(1).saturating_sub(1);
    let before: usize = text.split('\n').take(line).map(|one| one.chars().count() + 1).sum();
    before + usize::try_from(column).unwrap_or(0).saturating_sub(1)
}

/// The place in the file of the character `offset` of the condition `text` whose value starts at `node`.
///
/// Exact for plain, quoted and literal (`|`) texts; the start of the value for folded ones.
fn place_of(text: &str, offset: usize, node: &Node, source: &str) -> Place {
    let (line, column) = node.place;
    let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
    let before: String = text.chars().take(offset).collect();
    let down = before.matches('\n').count();
    let across = before.rsplit('\n').next().unwrap_or_default().chars().count();
    let wanted = text.split('\n').nth(down).unwrap_or_default();
    let Some(found) = source.lines().nth(index(line).saturating_add(down)) else { return node.place };
    let start = if down == 0 { index(column) } else { 0 };
    let rest: String = found.chars().skip(start).collect();
    match rest.find(wanted).and_then(|at| rest.get(..at)) {
        Some(skipped) if !wanted.is_empty() => {
            (line + down as u64, (start + skipped.chars().count() + across + 1) as u64)
        }
        _ => node.place,
    }
}
