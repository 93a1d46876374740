//! A trail as a table for people.

use std::io::{self, Write};

use hullmark_engine::{Relation, Trail, TrailEntry, TrailRow, describe};
use hullmark_report::safe_text;
use hullmark_types::Digest;

/// Where the entries come from, which says how far they can be trusted.
pub enum Origin<'a> {
    /// A ledger at hand: each entry was compared with its hash.
    Ledger {
        /// Its name.
        origin: &'a str,
        /// How many entries it has.
        size: u64,
    },
    /// A server that was asked.
    Server,
}

/// The columns; what belongs to no column stands below.
const COLUMNS: [&str; 7] = ["ENTRY", "TIME", "WHAT", "OUTCOME", "POLICY", "DATABASE", "BY"];

/// Writes a trail: the digests of the image, its entries in order, where they come from.
pub fn write_trail(trail: &Trail, origin: &Origin<'_>, out: &mut dyn Write) -> io::Result<()> {
    digests("index", &trail.indexes, out)?;
    digests("manifest", &trail.manifests, out)?;
    digests("config", &trail.configs, out)?;
    if trail.indexes.is_empty() && trail.manifests.is_empty() && trail.configs.is_empty() {
        writeln!(out, "digest    {}", trail.asked)?;
    }
    writeln!(out)?;
    write_entries(&trail.entries, out)?;
    writeln!(out)?;
    let number = trail.entries.len();
    match origin {
        Origin::Ledger { origin, size } => writeln!(
            out,
            "{number} of {size} entries of the ledger `{}`, each compared with its hash",
            safe_text(origin)
        )?,
        Origin::Server => writeln!(
            out,
            "{number} of {} entries of the ledger `{}`, as the server says: nothing was verified",
            trail.size,
            safe_text(&trail.origin)
        )?,
    }
    match trail.left_out {
        0 => Ok(()),
        more => writeln!(out, "{more} more entries about the image are not shown: there are too many"),
    }
}

fn digests(name: &str, digests: &[Digest], out: &mut dyn Write) -> io::Result<()> {
    digests.iter().try_for_each(|digest| writeln!(out, "{name:8}  {digest}"))
}

/// Writes entries as a table, each with its reasons below.
pub fn write_entries(entries: &[TrailEntry], out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<_> = entries.iter().map(|entry| (entry, describe(&entry.record))).collect();
    let cells: Vec<_> = rows.iter().map(|(entry, row)| cells(entry, row.as_ref())).collect();
    let mut widths = COLUMNS.map(str::len);
    for cells in &cells {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    line(&COLUMNS.map(str::to_owned), &widths, out)?;
    let mut image = None;
    for ((_, row), cells) in rows.iter().zip(&cells) {
        line(cells, &widths, out)?;
        let Some(row) = row else { continue };
        // The name is told when it is another than before.
        if let Some(name) = row.image.as_ref().filter(|name| image != Some(*name)) {
            writeln!(out, "       image {}", safe_text(name))?;
            image = Some(name);
        }
        below(row, out)?;
    }
    Ok(())
}

fn cells(entry: &TrailEntry, row: Option<&TrailRow>) -> [String; 7] {
    let number = entry.entry.to_string();
    let Some(row) = row else {
        let none = || "-".to_owned();
        return [number, none(), "not a known record".to_owned(), none(), none(), none(), none()];
    };
    let what = match entry.relation {
        Relation::Basis => format!("({})", row.what),
        Relation::Image | Relation::Mention => row.what.clone(),
    };
    let optional = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), safe_text);
    [
        number,
        row.time.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        what,
        row.outcome.clone(),
        optional(&row.policy),
        optional(&row.database),
        safe_text(&row.by),
    ]
}

fn line(cells: &[String; 7], widths: &[usize; 7], out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        match column {
            // Numbers end below each other.
            0 => text.push_str(&format!("{cell:>width$}  ")),
            _ => text.push_str(&format!("{cell:width$}  ")),
        }
    }
    writeln!(out, "{}", text.trim_end())
}

/// What an entry says besides its columns.
fn below(row: &TrailRow, out: &mut dyn Write) -> io::Result<()> {
    let mut say = |text: &str| writeln!(out, "       {}", safe_text(text));
    row.because.iter().filter(|text| !text.is_empty()).try_for_each(|text| say(text))?;
    if !row.exceptions.is_empty() {
        say(&format!("exceptions used: {}", row.exceptions.join(", ")))?;
    }
    if !row.degraded.is_empty() {
        say(&format!("degraded: {}", row.degraded.join(", ")))?;
    }
    Ok(())
}
