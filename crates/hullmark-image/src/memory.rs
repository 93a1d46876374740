//! How much memory reading an image may take, whatever the image.
//!
//! What grows with the image is taken from a pool before it is allocated, and waits when the pool is empty. Who holds a part of
//! a pool needs no second part of the same pool to go on. Between the pools there could be a circle: one layer waits for a window
//! in the middle of a large file, and who has the window waits to read a large file of its own. So one file at a time may be read
//! beyond the pool while somebody waits for a window.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often one who waits for a file looks whether somebody waits for a window.
const LOOK: Duration = Duration::from_millis(20);

/// What is used unless something else is asked for, in bytes: 256 MiB.
pub const DEFAULT_MEMORY: u64 = 256 << 20;

/// The least that is accepted, in bytes: 32 MiB.
pub const MIN_MEMORY: u64 = 32 << 20;

/// The memory for reading images. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    pools: Arc<Pools>,
}

#[derive(Debug)]
struct Pools {
    /// What may be kept of one image: the list of its files and what was found in them.
    kept: u64,
    /// Half: what zstd looks back at, for each layer that is being read.
    windows: Pool,
    /// A quarter: files that are read as a whole.
    files: Pool,
    /// An eighth: what zstd looks back at for an archive that is itself compressed, while layers in it are read, and for
    /// parts of layers, whose reader may hold a part of the others.
    archives: Pool,
}

impl Memory {
    /// Memory of `bytes`, at least [`MIN_MEMORY`]. An eighth is for what does not grow with the image. What is kept of an image
    /// until all its layers are read comes on top, and is half as much at most.
    pub fn new(bytes: u64) -> Self {
        let bytes = bytes.max(MIN_MEMORY);
        let windows = Pool::new(bytes / 2);
        let yields_to = Arc::clone(&windows.waiting);
        let pools = Pools {
            kept: bytes / 2,
            windows,
            files: Pool { yields_to: Some(yields_to), ..Pool::new(bytes / 4) },
            archives: Pool::new(bytes / 8),
        };
        Self { pools: Arc::new(pools) }
    }

    /// For files that are read as a whole.
    pub fn files(&self) -> &Pool {
        &self.pools.files
    }

    /// How many bytes may be kept of one image.
    pub fn kept(&self) -> u64 {
        self.pools.kept
    }

    pub(crate) fn windows(&self) -> &Pool {
        &self.pools.windows
    }

    pub(crate) fn archives(&self) -> &Pool {
        &self.pools.archives
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(DEFAULT_MEMORY)
    }
}

/// A number of bytes that is shared out.
#[derive(Debug)]
pub struct Pool {
    size: u64,
    left: Mutex<Left>,
    freed: Condvar,
    /// How many wait for a part of it.
    waiting: Arc<AtomicUsize>,
    /// While somebody waits there, one part may be taken beyond what is left.
    yields_to: Option<Arc<AtomicUsize>>,
}

#[derive(Debug)]
struct Left {
    bytes: u64,
    is_overdrawn: bool,
}

impl Pool {
    fn new(size: u64) -> Self {
        Self {
            size,
            left: Mutex::new(Left { bytes: size, is_overdrawn: false }),
            freed: Condvar::new(),
            waiting: Arc::default(),
            yields_to: None,
        }
    }

    /// All of it, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes `bytes` out, and waits until there are so many; `None` when there are never so many.
    pub fn take(&self, bytes: u64) -> Option<Held<'_>> {
        if bytes > self.size {
            return None;
        }
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(rest) = left.bytes.checked_sub(bytes) {
                left.bytes = rest;
                return Some(Held { pool: self, bytes, is_overdraft: false });
            }
            let is_awaited = |waiting: &Arc<AtomicUsize>| waiting.load(Ordering::SeqCst) > 0;
            if !left.is_overdrawn && self.yields_to.as_ref().is_some_and(is_awaited) {
                left.is_overdrawn = true;
                return Some(Held { pool: self, bytes, is_overdraft: true });
            }
            self.waiting.fetch_add(1, Ordering::SeqCst);
            left = match self.yields_to {
                Some(_) => self.freed.wait_timeout(left, LOOK).unwrap_or_else(PoisonError::into_inner).0,
                None => self.freed.wait(left).unwrap_or_else(PoisonError::into_inner),
            };
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// A part of a pool, given back when it is dropped.
#[derive(Debug)]
pub struct Held<'a> {
    pool: &'a Pool,
    bytes: u64,
    is_overdraft: bool,
}

impl Held<'_> {
    /// How many bytes it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut left = self.pool.left.lock().unwrap_or_else(PoisonError::into_inner);
        match self.is_overdraft {
            true => left.is_overdrawn = false,
            false => left.bytes += self.bytes,
        }
        drop(left);
        self.pool.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_waited_for_and_comes_back() {
        let memory = Memory::new(0);
        let pool = memory.files();
        assert_eq!(pool.size(), MIN_MEMORY / 4);
        assert!(pool.take(pool.size() + 1).is_none());
        let all = pool.take(pool.size()).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.take(1).unwrap().bytes());
            drop(all);
            assert_eq!(waiting.join().unwrap(), 1);
        });
        assert_eq!(pool.take(pool.size()).unwrap().bytes(), pool.size());
    }

    #[test]
    fn a_layer_in_a_large_file_and_one_with_a_large_window_do_not_wait_for_each_other() {
        let memory = Memory::new(0);
        let (windows, files) = (memory.windows(), memory.files());
        // One layer reads a large file, and the other has the window.
        let (file, window) = (files.take(files.size()).unwrap(), windows.take(windows.size()).unwrap());
        std::thread::scope(|scope| {
            // The next frame of the first layer has a window too.
            let next = scope.spawn(|| windows.take(windows.size()).unwrap().bytes());
            // The other layer comes to a large file, which it must be able to read before it gives the window back.
            assert_eq!(files.take(files.size()).unwrap().bytes(), files.size());
            drop(window);
            assert_eq!(next.join().unwrap(), windows.size());
        });
        drop(file);
        assert_eq!(files.take(files.size()).unwrap().bytes(), files.size());
    }
}
