//! An ELF executable as it passes: keeps what the build information may need, and lets the rest go.
//!
//! Where the tables and the writable data are stands in the first bytes. The texts of Go before 1.18 are in read-only data that
//! nothing points to from there, so they are looked for by how they begin, as is the build information itself.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::sparse::{Part, Sparse};
use super::{blob, elf, report};
use crate::{Extraction, Passing};

/// So many of the first bytes are kept; headers are there.
const HEAD: u64 = 64 * 1024;

/// The most that is kept of one file, in bytes.
pub(super) const MAX_KEPT: u64 = 28 * 1024 * 1024;

/// Some bytes that a wanted part of the file begins with.
struct Pattern {
    bytes: &'static [u8],
    /// How much is kept from where they stand.
    length: u64,
    /// How many times.
    count: usize,
}

/// The longest pattern less one: what must be remembered of the bytes that have passed.
const TAIL: usize = 15;

const PATTERNS: [Pattern; 4] = [
    Pattern { bytes: blob::MAGIC, length: 512 * 1024, count: 4 },
    // The list of modules, before Go 1.18.
    Pattern {
        bytes: b"\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6",
        length: 1024 * 1024,
        count: 4,
    },
    // The version of the toolchain, before Go 1.18.
    Pattern { bytes: b"go1.", length: 64, count: 4096 },
    Pattern { bytes: b"devel ", length: 64, count: 4096 },
];

static FINDERS: LazyLock<[Finder<'static>; PATTERNS.len()]> =
    LazyLock::new(|| PATTERNS.map(|pattern| Finder::new(pattern.bytes)));

/// Keeps what may be needed of the bytes that pass.
pub(super) struct Keeper {
    /// The size that the file is said to have.
    size: u64,
    /// How many bytes have passed.
    position: u64,
    /// The last bytes that have passed, at most [`TAIL`].
    tail: Vec<u8>,
    /// What to keep, unless all of it has passed.
    wanted: Vec<Range<u64>>,
    parts: Vec<Part<'static>>,
    kept: u64,
    /// How many times more what each pattern begins is kept.
    left: [usize; PATTERNS.len()],
    misses_magic: bool,
}

impl Keeper {
    pub(super) fn new(size: u64) -> Self {
        Self {
            size,
            position: 0,
            tail: Vec::with_capacity(TAIL),
            wanted: Vec::from([Range { start: 0, end: HEAD }]),
            parts: Vec::new(),
            kept: 0,
            left: PATTERNS.map(|pattern| pattern.count),
            misses_magic: false,
        }
    }

    pub(super) fn image(self) -> Sparse<'static> {
        Sparse::new(self.parts, self.position, self.misses_magic)
    }

    fn take(&mut self, bytes: &[u8]) {
        self.search(bytes);
        self.keep(bytes);
        self.position += bytes.len() as u64;
        let more = bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default();
        self.tail.drain(..(self.tail.len() + more.len()).saturating_sub(TAIL));
        self.tail.extend_from_slice(more);
    }

    /// Wants what the patterns begin that end in these bytes.
    fn search(&mut self, bytes: &[u8]) {
        let tail = self.tail.len();
        let mut border = [0; 2 * TAIL];
        let first = bytes.get(..TAIL).unwrap_or(bytes);
        let both = self.tail.iter().chain(first);
        border.iter_mut().zip(both).for_each(|(into, byte)| *into = *byte);
        let border = border.get(..tail + first.len()).unwrap_or_default();
        let border_start = self.position - tail as u64;
        for (index, (pattern, finder)) in PATTERNS.iter().zip(&*FINDERS).enumerate() {
            let is_magic = pattern.bytes == blob::MAGIC;
            let Some(left) = self.left.get_mut(index) else { continue };
            // That there is more of the magic than is kept must be known.
            if *left == 0 && (!is_magic || self.misses_magic) {
                continue;
            }
            let over_border = finder
                .find_iter(border)
                .filter(|at| *at < tail && at + pattern.bytes.len() > tail)
                .map(|at| border_start + at as u64);
            let inside = finder.find_iter(bytes).map(|at| self.position + at as u64);
            for start in over_border.chain(inside) {
                if *left == 0 {
                    self.misses_magic |= is_magic;
                    break;
                }
                *left -= 1;
                self.wanted.push(start..start.saturating_add(pattern.length));
            }
        }
    }

    /// Keeps what is wanted of these bytes and of the tail.
    fn keep(&mut self, bytes: &[u8]) {
        let tail_start = self.position - self.tail.len() as u64;
        let end = self.position + bytes.len() as u64;
        self.wanted.sort_unstable_by_key(|range| range.start);
        for range in &self.wanted {
            if range.start >= end {
                break;
            }
            let kept_to = self.parts.last().map_or(0, Part::end);
            let start = range.start.max(kept_to).max(tail_start);
            let stop = range.end.min(end).min(start.saturating_add(MAX_KEPT - self.kept));
            if start >= stop {
                continue;
            }
            if start != kept_to || self.parts.is_empty() {
                self.parts.push(Part { start, bytes: Vec::new().into() });
            }
            let Some(part) = self.parts.last_mut() else { continue };
            let into = part.bytes.to_mut();
            let rest = range.end.min(self.size).max(stop) - start;
            into.reserve(usize::try_from(rest).unwrap_or_default());
            into.extend_from_slice(between(&self.tail, tail_start, start, stop));
            into.extend_from_slice(between(bytes, self.position, start, stop));
            self.kept += stop - start;
        }
        self.wanted.retain(|range| range.end > end);
    }
}

/// What `bytes`, which begin at `place` of the file, have of the file from `start` to `stop`.
fn between(bytes: &[u8], place: u64, start: u64, stop: u64) -> &[u8] {
    let within = |position: u64| {
        usize::try_from(position.saturating_sub(place)).unwrap_or(usize::MAX).min(bytes.len())
    };
    bytes.get(within(start)..within(stop)).unwrap_or_default()
}

impl Passing for Keeper {
    fn bytes(&mut self, bytes: &[u8]) {
        let before = HEAD.saturating_sub(self.position);
        let in_head = usize::try_from(before).unwrap_or(usize::MAX).min(bytes.len());
        let (head, rest) = bytes.split_at_checked(in_head).unwrap_or((bytes, &[]));
        if !head.is_empty() {
            self.take(head);
            if self.position == HEAD
                && let Some(head) = self.parts.first()
            {
                self.wanted.extend(elf::ranges_to_keep(&head.bytes));
            }
        }
        if !rest.is_empty() {
            self.take(rest);
        }
    }

    fn kept(&self) -> u64 {
        self.kept
    }

    fn max_kept(&self) -> u64 {
        if self.position < HEAD {
            return MAX_KEPT;
        }
        let planned =
            self.wanted.iter().map(|range| range.end - range.start.max(self.position).min(range.end));
        let found = PATTERNS.iter().zip(self.left).map(|(pattern, left)| pattern.length * left as u64);
        planned.chain(found).fold(self.kept, u64::saturating_add).min(MAX_KEPT)
    }

    fn finish(self: Box<Self>, path: &str) -> Extraction {
        report(path, elf::read(&self.image()))
    }
}
