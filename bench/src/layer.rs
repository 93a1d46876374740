//! Stores one layer in both compressions.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::hashing::{Hashing, Passed};

/// The level at which images are usually packed: gzip's own default.
const GZIP_LEVEL: u32 = 6;
/// The level at which images are usually packed: zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// Read a tar to its end and store it below this directory as gzip and as zstd, each under its digest.
pub(crate) fn store(tar: &mut dyn Read, directory: &Path) -> Result<Value> {
    let create = |name: &str| {
        let path = directory.join(format!("{name}.partial"));
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok::<_, anyhow::Error>(Hashing::new(BufWriter::new(file)))
    };
    let mut gzip = GzEncoder::new(create("gzip")?, flate2::Compression::new(GZIP_LEVEL));
    let mut zstd = zstd::stream::write::Encoder::new(create("zstd")?, ZSTD_LEVEL)?;
    let mut plain = Hashing::new(tar);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = match plain.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("cannot read the tar"),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        gzip.write_all(bytes)?;
        zstd.write_all(bytes)?;
    }
    let (plain, _) = plain.finish();
    let gzip = keep(gzip.finish()?, directory, "gzip")?;
    let zstd = keep(zstd.finish()?, directory, "zstd")?;
    let shown = |passed: &Passed| json!({"digest": passed.digest, "size": passed.size});
    Ok(json!({"plain": shown(&plain), "gzip": shown(&gzip), "zstd": shown(&zstd)}))
}

fn keep(written: Hashing<BufWriter<File>>, directory: &Path, name: &str) -> Result<Passed> {
    let (passed, mut file) = written.finish();
    file.flush()?;
    let hexadecimal = passed.digest.trim_start_matches("sha256:");
    let (from, to) = (directory.join(format!("{name}.partial")), directory.join(hexadecimal));
    fs::rename(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_stored_twice_under_its_digests() {
        let directory = tempfile::tempdir().unwrap();
        let stored = store(&mut [7; 100_000].as_slice(), directory.path()).unwrap();
        assert_eq!(stored["plain"]["size"], 100_000);
        let open = |name: &str| {
            let digest = stored[name]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
            File::open(directory.path().join(digest)).unwrap()
        };
        let mut gzip = Vec::new();
        flate2::read::GzDecoder::new(open("gzip")).read_to_end(&mut gzip).unwrap();
        assert_eq!(gzip, [7; 100_000]);
        assert_eq!(zstd::decode_all(open("zstd")).unwrap(), [7; 100_000]);
    }
}
