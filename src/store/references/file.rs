//! The file of references: each digest once, and by their numbers what each manifest references.
//!
//! ```text
//! a line that says what this is, and what manifests meant to whoever wrote it
//! how many sha256 digests, and these, 32 bytes each
//! how many others, and these, each behind its length in bytes
//! the manifests, as they stand in memory
//! the sha256 of all of that
//! ```
//!
//! A janitor that reads manifests differently does not use it: see [`MEANING`].

use std::io::{self, BufReader, BufWriter, Read, Write};

use integer_encoding::{VarIntReader as _, VarIntWriter as _};
use sha2::{Digest as _, Sha256};

use crate::model::{Digest, Digests, Id, MEANING, Manifests, Selection};

/// What the first line begins with; [`MEANING`] follows.
const TITLE: &str = "registry-janitor references ";
const CHECKSUM_BYTES: u64 = 32;
const BUFFER_BYTES: usize = 1 << 18;

/// Why a file of references is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ReferencesError {
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Whoever wrote it read manifests differently.
    #[error("a version of the janitor wrote it that reads manifests differently")]
    Version,
    /// It is not as it was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// Reads a file of so many bytes. It takes no more memory than these, and half as much again.
///
/// # Errors
/// When it cannot be read, or is not exactly what was written.
pub fn read_references(file: impl Read, size_bytes: u64) -> Result<(Digests, Manifests), ReferencesError> {
    let damaged = ReferencesError::Damaged;
    let length = size_bytes.checked_sub(CHECKSUM_BYTES).ok_or(damaged("it ends in the middle"))?;
    let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
    let mut content = Hashing { inner: file.by_ref().take(length), hasher: Sha256::new() };
    let expected = title();
    let mut title = vec![0; expected.len()];
    content.read_exact(&mut title).map_err(short)?;
    if title != expected.as_bytes() {
        return Err(if title.starts_with(TITLE.as_bytes()) {
            ReferencesError::Version
        } else {
            damaged("it begins otherwise")
        });
    }
    let mut digests = Digests::default();
    let count = content.count(32)?;
    digests.reserve(count);
    for slot in 0..count {
        let mut bytes = [0; 32];
        content.read_exact(&mut bytes).map_err(short)?;
        let id = digests.intern(&Digest::Sha256(bytes));
        (id.slot() == Some(slot)).then_some(()).ok_or(damaged("a digest is there twice"))?;
    }
    for number in 0..content.count(48)? {
        let mut length = [0];
        content.read_exact(&mut length).map_err(short)?;
        let mut bytes = [0; 64];
        let bytes = bytes.get_mut(..length[0].into()).ok_or(damaged("an unknown digest"))?;
        content.read_exact(bytes).map_err(short)?;
        let digest = Digest::from_bytes(bytes).ok_or(damaged("an unknown digest"))?;
        digests.intern(&digest);
        (digests.others() == number + 1).then_some(()).ok_or(damaged("a digest is there twice"))?;
    }
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes)?;
    let found: [u8; 32] = content.hasher.finalize().into();
    let mut expected = [0; 32];
    file.read_exact(&mut expected).map_err(short)?;
    if found != expected {
        return Err(damaged("its checksum is not that of its content"));
    }
    bytes.shrink_to_fit();
    let manifests = Manifests::read(bytes, &digests).ok_or(damaged("it makes no sense"))?;
    Ok((digests, manifests))
}

/// Writes down what some digests stand for, by the numbers of a selection that has all that they name.
///
/// # Errors
/// When it cannot be written.
pub fn write_references(
    file: impl Write,
    digests: &Digests,
    manifests: &Manifests,
    named: &[Id],
    numbers: &Selection,
) -> io::Result<()> {
    let mut file = Hashing { inner: BufWriter::with_capacity(BUFFER_BYTES, file), hasher: Sha256::new() };
    file.write_all(title().as_bytes())?;
    let is_sha256 = |id: &Id| id.slot().is_some();
    file.write_varint(numbers.ids().filter(is_sha256).count())?;
    for id in numbers.ids().filter(is_sha256) {
        file.write_all(digests.get(id).bytes())?;
    }
    file.write_varint(numbers.ids().filter(|id| !is_sha256(id)).count())?;
    for id in numbers.ids().filter(|id| !is_sha256(id)) {
        let digest = digests.get(id);
        let bytes = digest.bytes();
        file.write_varint(bytes.len())?;
        file.write_all(bytes)?;
    }
    let mut bytes = Vec::new();
    for id in named {
        bytes.clear();
        manifests.write(*id, numbers, &mut bytes);
        file.write_all(&bytes)?;
    }
    let Hashing { mut inner, hasher } = file;
    inner.write_all(&hasher.finalize())?;
    inner.flush()
}

/// The first line.
fn title() -> String {
    format!("{TITLE}{MEANING}\n")
}

/// Hashes what goes through.
struct Hashing<T> {
    inner: T,
    hasher: Sha256,
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        Ok(length)
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Hashing<io::Take<T>> {
    /// How many things of so many bytes follow, at most as many as there is room for.
    fn count(&mut self, bytes_each: u64) -> Result<usize, ReferencesError> {
        let count: u64 = self.read_varint().map_err(short)?;
        let is_there = count <= self.inner.limit() / bytes_each;
        let count = usize::try_from(count).ok().filter(|_| is_there);
        count.ok_or(ReferencesError::Damaged("it ends in the middle"))
    }
}

/// What ends too soon is damaged, and what is no integer.
fn short(error: io::Error) -> ReferencesError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
            ReferencesError::Damaged("it ends in the middle")
        }
        _ => ReferencesError::Io(error),
    }
}
