//! Type check of conditions: every name, field, operator and function is known and fits, before anything is evaluated.

use std::collections::BTreeMap;
use std::fmt;

use cel::IdedExpr;
use cel::common::ast::operators;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, SelectExpr};
use hullmark_types::Severity;

use crate::RuleSubject;
use crate::durations;
use crate::error::nearest;
use crate::facts::{Field, Kind, OBJECTS, constant, objects_of};
use crate::reserved;

/// The functions that conditions may call, as shown in the reference.
pub(crate) const FUNCTIONS: [&str; 14] = [
    "size(x)",
    "text.contains(part)",
    "text.startsWith(prefix)",
    "text.endsWith(suffix)",
    "text.matches(\"regex\")",
    "list.exists(x, condition)",
    "list.all(x, condition)",
    "list.exists_one(x, condition)",
    "list.filter(x, condition)",
    "list.map(x, value)",
    "has(x.y)",
    "int(x)",
    "double(x)",
    "duration(\"48h\")",
];

/// Expressions nested deeper than this are refused: evaluation is recursive.
const MAX_DEPTH: usize = 80;

/// Loops inside loops deeper than this are refused: their time multiplies.
const MAX_LOOPS: usize = 2;

/// The type of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    Int,
    Double,
    Text,
    Duration,
    Severity,
    List(Box<Type>),
    Map(Box<Type>),
    Object(&'static str),
    /// The element of an empty list, which fits everything.
    Any,
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => formatter.write_str("bool"),
            Self::Int => formatter.write_str("int"),
            Self::Double => formatter.write_str("double"),
            Self::Text => formatter.write_str("string"),
            Self::Duration => formatter.write_str("duration"),
            Self::Severity => formatter.write_str("severity"),
            Self::List(item) => write!(formatter, "list of {item}"),
            Self::Map(value) => write!(formatter, "map of string to {value}"),
            Self::Object(name) => write!(formatter, "`{name}`"),
            Self::Any => formatter.write_str("anything"),
        }
    }
}

impl From<Kind> for Type {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool,
            Kind::Int => Self::Int,
            Kind::Double => Self::Double,
            Kind::Text => Self::Text,
            Kind::Duration => Self::Duration,
            Kind::Severity => Self::Severity,
            Kind::Texts => Self::List(Box::new(Self::Text)),
            Kind::TextMap => Self::Map(Box::new(Self::Text)),
        }
    }
}

impl Type {
    fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::List(left), Self::List(right)) | (Self::Map(left), Self::Map(right)) => left.fits(right),
            _ => self == other,
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The node of the syntax tree; its place is known to the parser.
    pub(crate) node: u64,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Checks `expression` as the condition of a rule on `subject`; gives every mistake.
pub(crate) fn check(subject: RuleSubject, fields: &[Field], expression: &IdedExpr) -> Vec<Mistake> {
    let mut checker = Checker { subject, fields, variables: BTreeMap::new(), loops: 0, mistakes: Vec::new() };
    let found = checker.type_of(expression, 0);
    if let Some(found) = found
        && !found.fits(&Type::Bool)
    {
        checker.mistake(expression, format!("a condition has to be a bool, this is {found}"), None);
    }
    checker.mistakes
}

struct Checker<'a> {
    subject: RuleSubject,
    fields: &'a [Field],
    variables: BTreeMap<String, Type>,
    loops: usize,
    mistakes: Vec<Mistake>,
}

impl Checker<'_> {
    fn mistake(&mut self, at: &IdedExpr, message: impl Into<String>, hint: Option<String>) {
        self.mistakes.push(Mistake { node: at.id, message: message.into(), hint });
    }

    /// The type of `at`, or `None` after a mistake in it was noted.
    fn type_of(&mut self, at: &IdedExpr, depth: usize) -> Option<Type> {
        if depth > MAX_DEPTH {
            let hint = "split the rule into several rules: a rule each is an `or`";
            self.mistake(at, "the condition is nested too deeply", Some(hint.to_owned()));
            return None;
        }
        match &at.expr {
            Expr::Literal(literal) => self.literal(at, literal),
            Expr::Ident(name) => self.name(at, name),
            Expr::Select(select) => self.select(at, select, depth + 1),
            Expr::Call(call) => self.call(at, call, depth + 1),
            Expr::List(list) => {
                if !list.optional_indices.is_empty() {
                    return self.not_here(at, "optional elements");
                }
                let mut item = Type::Any;
                for element in &list.elements {
                    let found = self.type_of(element, depth + 1)?;
                    if !item.fits(&found) {
                        let message = format!("a list holds one type: expected {item}, found {found}");
                        self.mistake(element, message, None);
                        return None;
                    }
                    item = found;
                }
                Some(Type::List(Box::new(item)))
            }
            Expr::Comprehension(comprehension) => self.comprehension(at, comprehension, depth + 1),
            Expr::Map(_) => self.not_here(at, "map literals"),
            Expr::Struct(_) => self.not_here(at, "struct literals"),
            Expr::Unspecified => self.not_here(at, "empty expressions"),
        }
    }

    fn not_here(&mut self, at: &IdedExpr, what: &str) -> Option<Type> {
        self.mistake(at, format!("{what} have no use in conditions"), None);
        None
    }

    fn literal(&mut self, at: &IdedExpr, literal: &LiteralValue) -> Option<Type> {
        match literal {
            LiteralValue::Boolean(_) => Some(Type::Bool),
            LiteralValue::Int(_) => Some(Type::Int),
            LiteralValue::Double(_) => Some(Type::Double),
            LiteralValue::String(_) => Some(Type::Text),
            LiteralValue::UInt(_) => self.not_here(at, "unsigned numbers"),
            LiteralValue::Bytes(_) => self.not_here(at, "byte strings"),
            LiteralValue::Null => self.not_here(at, "null values"),
        }
    }

    fn name(&mut self, at: &IdedExpr, name: &str) -> Option<Type> {
        if let Some(found) = self.variables.get(name) {
            return Some(found.clone());
        }
        let name = reserved::written(name);
        if Severity::ALL.iter().any(|level| constant(*level) == name) {
            return Some(Type::Severity);
        }
        let seen = objects_of(self.subject);
        if let Some(object) = seen.iter().find(|object| **object == name) {
            return Some(Type::Object(object));
        }
        let subject = self.subject.name();
        if OBJECTS.iter().any(|(object, _)| *object == name) {
            let hint = format!("it sees {}", crate::reader::list(seen));
            self.mistake(at, format!("a rule on `{subject}` does not see `{name}`"), Some(hint));
            return None;
        }
        let constants = Severity::ALL.map(constant);
        let near = nearest(name, seen.iter().copied().chain(constants.iter().map(String::as_str)));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("a rule on `{subject}` sees {}", crate::reader::list(seen)),
        };
        self.mistake(at, format!("unknown name `{}`", crate::yaml::shorten(name)), Some(hint));
        None
    }

    fn select(&mut self, at: &IdedExpr, select: &SelectExpr, depth: usize) -> Option<Type> {
        let found = match self.type_of(&select.operand, depth)? {
            Type::Object(object) => self.field(at, object, &select.field)?,
            Type::Map(value) => *value,
            other => {
                let message = format!("{other} has no field `{}`", crate::yaml::shorten(&select.field));
                self.mistake(at, message, None);
                return None;
            }
        };
        Some(if select.test { Type::Bool } else { found })
    }

    fn field(&mut self, at: &IdedExpr, object: &'static str, name: &str) -> Option<Type> {
        let known = self.fields.iter().filter(|field| field.object == object);
        if let Some(field) = known.clone().find(|field| field.name == name) {
            return Some(field.kind.into());
        }
        let names: Vec<_> = known.map(|field| field.name).collect();
        let hint = match (object, name, nearest(name, names.iter().copied())) {
            ("vuln", "epss", _) => "EPSS is not supported yet".to_owned(),
            (_, _, Some(near)) => format!("did you mean `{object}.{near}`?"),
            _ => format!("`{object}` has {}", crate::reader::list(&names)),
        };
        self.mistake(at, format!("unknown fact `{object}.{}`", crate::yaml::shorten(name)), Some(hint));
        None
    }

    fn call(&mut self, at: &IdedExpr, call: &CallExpr, depth: usize) -> Option<Type> {
        let mut of = Vec::with_capacity(call.args.len() + 1);
        for operand in call.target.iter().map(AsRef::as_ref).chain(&call.args) {
            of.push(self.type_of(operand, depth));
        }
        // Every operand is looked at, so that one run names all mistakes.
        let types: Vec<Type> = of.into_iter().collect::<Option<_>>()?;
        let name = call.func_name.as_str();
        let result = match (name, types.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, _)
                if types.iter().all(|one| one.fits(&Type::Bool)) =>
            {
                Some(Type::Bool)
            }
            (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [one]) if one.fits(&Type::Bool) => {
                Some(Type::Bool)
            }
            (operators::NEGATE, [one]) if one.is_number() => Some(one.clone()),
            (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => {
                let objects = matches!(left, Type::Object(_)) || matches!(right, Type::Object(_));
                ((left.fits(right) && !objects) || (left.is_number() && right.is_number()))
                    .then_some(Type::Bool)
            }
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [left, right],
            ) => {
                let ordered = matches!(left, Type::Text | Type::Duration | Type::Severity);
                ((left == right && ordered) || (left.is_number() && right.is_number())).then_some(Type::Bool)
            }
            (operators::ADD | operators::SUBSTRACT, [Type::Duration, Type::Duration]) => Some(Type::Duration),
            (operators::ADD, [Type::Text, Type::Text]) => Some(Type::Text),
            (operators::ADD, [Type::List(left), Type::List(right)]) if left.fits(right) => {
                let item = if **left == Type::Any { right } else { left };
                Some(Type::List(item.clone()))
            }
            (operators::MODULO, [Type::Int, Type::Int]) => Some(Type::Int),
            (
                operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE,
                [left, right],
            ) if left == right && left.is_number() => Some(left.clone()),
            (operators::CONDITIONAL, [condition, yes, no]) if condition.fits(&Type::Bool) && yes.fits(no) => {
                Some(yes.clone())
            }
            (operators::IN, [item, Type::List(of)]) => item.fits(of).then_some(Type::Bool),
            (operators::IN, [Type::Text, Type::Map(_)]) => Some(Type::Bool),
            (operators::INDEX, [Type::List(item), Type::Int]) => Some((**item).clone()),
            (operators::INDEX, [Type::Map(value), Type::Text]) => Some((**value).clone()),
            ("size", [Type::Text | Type::List(_) | Type::Map(_)]) => Some(Type::Int),
            ("contains" | "startsWith" | "endsWith", [Type::Text, Type::Text]) if call.target.is_some() => {
                Some(Type::Bool)
            }
            ("matches", [Type::Text, Type::Text]) if call.target.is_some() => return self.pattern(at, call),
            ("int", [Type::Int | Type::Double]) => Some(Type::Int),
            ("double", [Type::Int | Type::Double]) => Some(Type::Double),
            ("duration", [Type::Text]) if call.target.is_none() => return self.duration(at, call),
            _ => None,
        };
        if result.is_none() {
            self.does_not_fit(at, name, &types);
        }
        result
    }

    fn does_not_fit(&mut self, at: &IdedExpr, name: &str, types: &[Type]) {
        let operator = name.trim_matches(['_', '@']);
        let shown = match operator {
            "?_:" => "? :",
            "[_]" => "[ ]",
            other => other,
        };
        let known = FUNCTIONS.iter().any(|function| {
            let start = function.split('(').next().unwrap_or_default();
            start.rsplit('.').next() == Some(name)
        });
        let is_operator = name.contains(['_', '@', '!']);
        if !known && !is_operator {
            let hint = format!("the functions are {}", crate::reader::list(&FUNCTIONS));
            self.mistake(at, format!("unknown function `{}`", crate::yaml::shorten(name)), Some(hint));
            return;
        }
        let of: Vec<_> = types.iter().map(ToString::to_string).collect();
        let hint = match types {
            [Type::Severity, _] | [_, Type::Severity] => {
                Some(format!("severities compare with {}", Severity::ALL.map(constant).join(", ")))
            }
            [Type::Duration, _] | [_, Type::Duration] => {
                Some("write a duration as `duration(\"48h\")`".to_owned())
            }
            [left, right] if left.is_number() && right.is_number() => {
                Some("turn one into the other: `double(x)`, `int(x)`".to_owned())
            }
            _ => None,
        };
        self.mistake(at, format!("`{shown}` does not take {}", of.join(" and ")), hint);
    }

    fn text_literal<'b>(&mut self, call: &'b CallExpr, what: &str) -> Option<(&'b IdedExpr, &'b str)> {
        let argument = call.args.first()?;
        if let Expr::Literal(LiteralValue::String(text)) = &argument.expr {
            return Some((argument, text.inner()));
        }
        self.mistake(argument, format!("{what} has to be a text in quotes, so that it is checked now"), None);
        None
    }

    fn pattern(&mut self, _at: &IdedExpr, call: &CallExpr) -> Option<Type> {
        let (argument, pattern) = self.text_literal(call, "a regular expression")?;
        if let Err(error) = regex::Regex::new(pattern) {
            let message = error.to_string();
            let last =
                message.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            self.mistake(argument, format!("not a regular expression: {last}"), None);
            return None;
        }
        Some(Type::Bool)
    }

    fn duration(&mut self, _at: &IdedExpr, call: &CallExpr) -> Option<Type> {
        let (argument, duration) = self.text_literal(call, "a duration")?;
        if durations::parse(duration).is_none() {
            let message = format!("`{}` is not a duration", crate::yaml::shorten(duration));
            let hint = "write a number and a unit: w, d, h, m, s or ms, such as `48h`";
            self.mistake(argument, message, Some(hint.to_owned()));
            return None;
        }
        Some(Type::Duration)
    }

    /// What the macros `exists`, `all`, `exists_one`, `filter` and `map` became.
    fn comprehension(&mut self, at: &IdedExpr, of: &ComprehensionExpr, depth: usize) -> Option<Type> {
        let item = match self.type_of(&of.iter_range, depth)? {
            Type::List(item) => *item,
            Type::Map(_) => Type::Text,
            other => {
                self.mistake(at, format!("{other} has no elements to go through"), None);
                return None;
            }
        };
        if of.iter_var2.is_some() {
            return self.not_here(at, "loops with two variables");
        }
        if self.loops >= MAX_LOOPS {
            self.mistake(at, format!("more than {MAX_LOOPS} loops inside each other"), None);
            return None;
        }
        let start = self.type_of(&of.accu_init, depth)?;
        let before = self.variables.clone();
        self.loops += 1;
        self.variables.insert(of.iter_var.clone(), item);
        self.variables.insert(of.accu_var.clone(), start.clone());
        let condition = self.type_of(&of.loop_cond, depth);
        let step = self.type_of(&of.loop_step, depth);
        let accumulated = match (&start, &step) {
            (Type::List(_), Some(step)) => step.clone(),
            _ => start.clone(),
        };
        self.variables.insert(of.accu_var.clone(), accumulated);
        let result = self.type_of(&of.result, depth);
        self.loops -= 1;
        self.variables = before;
        let (condition, step) = (condition?, step?);
        if !condition.fits(&Type::Bool) || !step.fits(&start) {
            self.mistake(at, format!("the condition of a loop has to be a bool, this is {step}"), None);
            return None;
        }
        result
    }
}
