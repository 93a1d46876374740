//! `hullmark base`: which images others are built on.

use anyhow::{Context as _, Result};
use hullmark_inventory::{BaseIndex, KnownBase};
use hullmark_report::safe_text;

use super::Context;
use super::reading::{Reading, all_taken};
use crate::cli::{Base, BaseAdd, TableOrJson};
use crate::environment;
use crate::output::to_stdout;

/// Runs a `base` command.
pub fn run(context: &Context<'_>, command: Base) -> Result<()> {
    match command {
        Base::Add(arguments) => add(context, &arguments),
        Base::List(arguments) => {
            let index = BaseIndex::at(environment::bases_directory(arguments.directory.bases)?);
            list(context, &index, arguments.format)
        }
        Base::Remove(arguments) => {
            let index = BaseIndex::at(environment::bases_directory(arguments.directory.bases)?);
            let removed = index.remove(&arguments.name)?;
            anyhow::ensure!(
                removed > 0,
                "no base image is called `{}`; `hullmark base list` lists them",
                arguments.name
            );
            context.talk.note(format!("forgot `{}`", arguments.name));
            Ok(())
        }
    }
}

fn add(context: &Context<'_>, arguments: &BaseAdd) -> Result<()> {
    let index = BaseIndex::at(environment::bases_directory(arguments.target.bases.clone())?);
    let now = environment::now(context.global.now);
    let reading = Reading::open(context, &arguments.target)?;
    let keep = |acquire: &hullmark_engine::Acquire<'_>| -> Result<()> {
        let (subject, layers) = hullmark_engine::identify(acquire)?;
        let own = subject.references.first().unwrap_or(&subject.name);
        let name = arguments.name.as_ref().unwrap_or(own).clone();
        let base = KnownBase::of(&subject, &layers, name, now)?;
        index.add(&base)?;
        let platform = base.platform.as_ref().map(|platform| format!(" {platform}")).unwrap_or_default();
        let known = format!("{}{platform}, {} layers", base.name, base.layers.len());
        context.talk.note(format!("known as a base image: {}", safe_text(&known)));
        Ok(())
    };
    if !reading.wants_all() {
        return reading.one(keep).with_context(|| format!("cannot make `{}` known", arguments.target.target));
    }
    all_taken(&reading.each(|acquire, _| keep(acquire))?)
}

fn list(context: &Context<'_>, index: &BaseIndex, format: TableOrJson) -> Result<()> {
    let (bases, damaged) = index.list()?;
    for error in damaged {
        context.talk.warn(error);
    }
    match format {
        TableOrJson::Json => to_stdout(|out| {
            serde_json::to_writer_pretty(&mut *out, &bases)?;
            out.write_all(b"\n")
        }),
        TableOrJson::Table => to_stdout(|out| {
            if bases.is_empty() {
                return writeln!(out, "no base image is known in {}", index.directory().display());
            }
            let row = |base: &KnownBase| {
                [
                    safe_text(&base.name),
                    base.platform.as_ref().map_or_else(|| "-".to_owned(), |one| safe_text(&one.to_string())),
                    base.layers.len().to_string(),
                    base.digest().map_or_else(|| "-".to_owned(), ToString::to_string),
                ]
            };
            let heading = ["NAME", "PLATFORM", "LAYERS", "DIGEST"].map(str::to_owned);
            let rows: Vec<[String; 4]> = std::iter::once(heading).chain(bases.iter().map(row)).collect();
            let width = |column: usize| {
                rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
            };
            let widths = [0, 1, 2, 3].map(|column| width(column).unwrap_or_default());
            for row in &rows {
                let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
                writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
            }
            Ok(())
        }),
    }
}
