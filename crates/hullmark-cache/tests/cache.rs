//! What a cache keeps, notices and forgets.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hullmark_cache::{Cache, Usage};
use hullmark_types::Digest;
use jiff::Timestamp;

fn now() -> Timestamp {
    "2100-01-01T00:00:00Z".parse().unwrap()
}

fn key(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            // The mark that says when the cache was made smaller is no entry.
            false if path.ends_with("pruned") => {}
            false => found.push(path),
        }
    }
    found.sort();
    found
}

#[test]
fn what_is_kept_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(&directory.path().join("a/b"), now()).unwrap();
    assert_eq!(cache.get("layer", &key("a")), None);
    for content in [&b""[..], b"short", &[7; 100_000]] {
        let key = Digest::sha256(content);
        cache.put("layer", &key, content).unwrap();
        cache.put("layer", &key, content).unwrap();
        assert_eq!(cache.get("layer", &key).unwrap(), content);
        assert_eq!(cache.get("inventory", &key), None);
    }
    assert_eq!(cache.usage().unwrap().entries, 3);
}

#[test]
fn every_changed_or_missing_byte_is_noticed_and_healed() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path(), now()).unwrap();
    let content = b"what a layer holds, and something more";
    cache.put("layer", &key("a"), content).unwrap();
    let path = files(directory.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    for position in 0..whole.len() {
        let mut changed = whole.clone();
        changed[position] ^= 0x20;
        for bytes in [&changed[..], &whole[..position]] {
            fs::write(&path, bytes).unwrap();
            // A changed byte may be one that means nothing to zstd; then the content is right all the same.
            let got = cache.get("layer", &key("a"));
            assert!(got.is_none() || got.as_deref() == Some(content), "{position}");
            if got.is_none() {
                assert!(!path.exists());
            }
            cache.put("layer", &key("a"), content).unwrap();
            assert_eq!(cache.get("layer", &key("a")).unwrap(), content);
        }
    }
    // An entry under another name is no entry.
    let other = path.with_file_name(key("b").hex());
    fs::create_dir_all(directory.path().join("layer").join(&key("b").hex()[..2])).unwrap();
    let other = directory.path().join("layer").join(&key("b").hex()[..2]).join(other.file_name().unwrap());
    fs::copy(&path, other).unwrap();
    assert_eq!(cache.get("layer", &key("b")), None);
}

#[test]
fn pruning_removes_what_is_old_and_what_was_used_longest_ago() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path(), now()).unwrap();
    for (days, name) in [(40, "a"), (3, "b"), (2, "c"), (1, "d")] {
        cache.put("layer", &key(name), &vec![b'x'; 1000]).unwrap();
        let path = directory.path().join("layer").join(&key(name).hex()[..2]).join(key(name).hex());
        let seconds = u64::try_from(now().as_second()).unwrap() - days * 86_400;
        let used = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::options().write(true).open(path).unwrap().set_modified(used).unwrap();
    }
    let one = cache.usage().unwrap().bytes / 4;
    let month = Some(Duration::from_secs(30 * 86_400));
    let pruned = cache.prune(u64::MAX, month).unwrap();
    assert_eq!(pruned.removed, Usage { entries: 1, bytes: one });
    // Using it makes it the youngest.
    assert!(cache.get("layer", &key("b")).is_some());
    let pruned = cache.prune(2 * one, month).unwrap();
    assert_eq!((pruned.removed.entries, pruned.left.entries), (1, 2));
    assert!(cache.get("layer", &key("c")).is_none());
    assert!(cache.get("layer", &key("b")).is_some() && cache.get("layer", &key("d")).is_some());
    assert_eq!(cache.prune(0, None).unwrap().left, Usage::default());
}

#[test]
fn it_stays_within_its_bound_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let at = |minutes: i64| {
        let time = now() + jiff::SignedDuration::from_mins(minutes);
        Cache::open(directory.path(), time).unwrap().bounded(4000)
    };
    let noise = |seed: u64| -> Vec<u8> {
        // Does not compress.
        let step = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Some((*state >> 33) as u8)
        };
        std::iter::successors(Some(seed), |state| Some(*state))
            .scan(seed, |state, _| step(state))
            .take(1000)
            .collect()
    };
    for entry in 0..20 {
        at(0).put("layer", &key(&entry.to_string()), &noise(entry)).unwrap();
    }
    assert_eq!(at(0).usage().unwrap().entries, 20);
    at(59).put("layer", &key("59"), &noise(59)).unwrap();
    assert_eq!(at(0).usage().unwrap().entries, 21);
    at(60).put("layer", &key("60"), &noise(60)).unwrap();
    let usage = at(0).usage().unwrap();
    assert!((1..4).contains(&usage.entries) && usage.bytes <= 4000, "{usage:?}");
    // A clock that was ahead does not keep it from being pruned.
    at(-600).put("layer", &key("early"), &noise(7)).unwrap();
    assert!(at(0).usage().unwrap().bytes <= 4000);
}

#[test]
fn many_at_once_need_not_wait_and_leave_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let cache = Cache::open(directory.path(), now()).unwrap();
                for number in 0..50 {
                    let content = format!("content {number}").repeat(100);
                    cache.put("layer", &key(&number.to_string()), content.as_bytes()).unwrap();
                    assert_eq!(cache.get("layer", &key(&number.to_string())).unwrap(), content.as_bytes());
                }
            });
        }
    });
    assert_eq!(files(directory.path()).len(), 50);
}
