//! Names of tiles and entry bundles in the directory (c2sp.org/tlog-tiles).

use std::fmt;

use crate::checkpoint::parse_decimal;
use crate::frontier::TILE_WIDTH;

/// Tile levels that a tree of fewer than 2^63 entries can have.
pub(crate) const TILE_LEVELS: u8 = 8;

/// Deepest path that is a resource: `tile`, the kind, seven groups of digits, the width.
pub(crate) const MAX_DEPTH: usize = 10;

/// What a resource holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Length-prefixed entries.
    Entries,
    /// Hashes of a tile level.
    Hashes(u8),
}

impl Kind {
    /// Tile level whose positions this resource covers; entries count as level 0.
    pub(crate) fn level(self) -> u8 {
        match self {
            Self::Entries => 0,
            Self::Hashes(level) => level,
        }
    }
}

/// A tile or an entry bundle, full (width 256) or partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource {
    pub(crate) kind: Kind,
    pub(crate) index: u64,
    pub(crate) width: usize,
}

impl Resource {
    /// The resource as it is for a tree of `size` entries: full, partial, or `None` when the tree does not reach it.
    pub(crate) fn at(size: u64, kind: Kind, index: u64) -> Option<Self> {
        let width = width_at(size, kind.level(), index);
        (width > 0).then_some(Self { kind, index, width })
    }

    /// Whether the resource has all its 256 elements.
    pub(crate) fn is_full(self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The same resource with another width.
    pub(crate) fn with_width(self, width: usize) -> Self {
        Self { width, ..self }
    }

    /// The first and the last entry that element `element` of this resource speaks of.
    pub(crate) fn entries_of(self, element: usize) -> (u64, u64) {
        entries_under(
            self.kind.level(),
            self.index.saturating_mul(TILE_WIDTH as u64).saturating_add(element as u64),
        )
    }

    /// The directory of the partial versions, relative to the log.
    pub(crate) fn partial_directory(self) -> String {
        format!("{}.p", self.with_width(TILE_WIDTH))
    }

    /// Reads a path relative to the log directory; `None` when it is not in the exact form of the specification.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = if kind == "entries" {
            Kind::Entries
        } else {
            Kind::Hashes(u8::try_from(canonical_number(kind, 63)?).ok()?)
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => {
                let width = canonical_number(width, 255)?;
                (number, usize::try_from(width).ok().filter(|width| *width > 0)?)
            }
            None => (rest, TILE_WIDTH),
        };
        let mut index: u64 = 0;
        for (place, group) in number.split('/').rev().enumerate() {
            let digits = if place == 0 { group } else { group.strip_prefix('x')? };
            if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let scale = 1000_u64.checked_pow(u32::try_from(place).ok()?)?;
            index = index.checked_add(digits.parse::<u64>().ok()?.checked_mul(scale)?)?;
        }
        let resource = Self { kind, index, width };
        // A leading `x000` would be a second name for the same tile.
        (resource.to_string() == path).then_some(resource)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Entries => f.write_str("tile/entries/")?,
            Kind::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        let mut scale = 1;
        while self.index / scale >= 1000 {
            scale *= 1000;
        }
        while scale > 1 {
            write!(f, "x{:03}/", self.index / scale % 1000)?;
            scale /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if !self.is_full() {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

/// Elements of tile `index` at `level` in a tree of `size` entries: 0 when the tree does not reach it.
pub(crate) fn width_at(size: u64, level: u8, index: u64) -> usize {
    let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
    let before = index.saturating_mul(TILE_WIDTH as u64);
    usize::try_from(hashes.saturating_sub(before)).unwrap_or(usize::MAX).min(TILE_WIDTH)
}

/// The first and the last entry under hash `position` of `level`.
pub(crate) fn entries_under(level: u8, position: u64) -> (u64, u64) {
    let entries = 1_u64.checked_shl(8 * u32::from(level)).unwrap_or(u64::MAX);
    let first = position.saturating_mul(entries);
    (first, first.saturating_add(entries - 1))
}

/// A decimal number without leading zeroes and not above `max`.
fn canonical_number(text: &str, max: u64) -> Option<u64> {
    parse_decimal(text).filter(|number| *number <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: Kind, index: u64, width: usize, path: &str) {
        let resource = Resource { kind, index, width };
        assert_eq!(resource.to_string(), path);
        assert_eq!(Resource::parse(path), Some(resource));
    }

    #[test]
    fn names_are_those_of_the_specification() {
        check(Kind::Hashes(0), 0, 256, "tile/0/000");
        check(Kind::Hashes(0), 273, 112, "tile/0/273.p/112");
        check(Kind::Hashes(1), 1000, 256, "tile/1/x001/000");
        check(Kind::Hashes(63), 1_234_067, 256, "tile/63/x001/x234/067");
        check(Kind::Entries, 1_234_067, 8, "tile/entries/x001/x234/067.p/8");
        check(Kind::Entries, u64::MAX, 256, "tile/entries/x018/x446/x744/x073/x709/x551/615");
    }

    #[test]
    fn other_spellings_are_not_names() {
        for path in [
            "tile/0/00",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/+1",
            "tile/0/+00",
            "tile/0/000.p",
            "tile/0/000.tmp",
            "tile/entry/000",
            "tile/entries/x018/x446/x744/x073/x709/x551/616",
            "tile/entries/x999/x999/x999/x999/x999/x999/x999/999",
            "tile//000",
            "tile/0/",
            "/tile/0/000",
        ] {
            assert_eq!(Resource::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_tree_of_70000_has_the_tiles_the_specification_lists() {
        assert_eq!(width_at(70_000, 0, 272), 256);
        assert_eq!(width_at(70_000, 0, 273), 112);
        assert_eq!(width_at(70_000, 0, 274), 0);
        assert_eq!(width_at(70_000, 1, 0), 256);
        assert_eq!(width_at(70_000, 1, 1), 17);
        assert_eq!(width_at(70_000, 2, 0), 1);
        assert_eq!(width_at(70_000, 3, 0), 0);
        assert_eq!((width_at(256, 0, 0), width_at(256, 0, 1), width_at(256, 1, 0)), (256, 0, 1));
        assert_eq!(width_at(u64::MAX, 63, 0), 0);
    }

    #[test]
    fn a_hash_of_a_tile_stands_for_a_range_of_entries() {
        assert_eq!(entries_under(0, 7), (7, 7));
        assert_eq!(entries_under(1, 2), (512, 767));
        assert_eq!(entries_under(7, 1 << 60), (u64::MAX, u64::MAX));
        assert_eq!(Resource { kind: Kind::Hashes(1), index: 1, width: 256 }.entries_of(3), (66_304, 66_559));
    }
}
