//! The cache of loaded rules: what files with known content gave.
//!
//! One file, `rules.cache`, in the cache folder:
//!
//! ```text
//! magic     8 bytes  "TCSNRUL1"
//! writer   32 bytes  SHA-256 of what identifies the program that wrote it
//! count     4 bytes  entries, little endian
//! index     count x (key 32, format 1, offset 8, length 4, check 32)
//! check    32 bytes  SHA-256 of everything above
//! payloads           each a MessagePack of `LoadedFile`; `check` is its SHA-256
//! ```
//!
//! An entry's key is the SHA-256 of the rule file's bytes, so a changed file is never found in it.
//! Whatever does not check is ignored and written anew.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::load::LoadedFile;
use super::load::files::Format;

/// The folder the cache lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheDir {
    dir: PathBuf,
    program: Option<PathBuf>,
}

impl CacheDir {
    /// A folder; it is made when something is kept in it. `program` is the running executable: a
    /// cache that another build wrote is not believed.
    pub fn new(dir: impl Into<PathBuf>, program: Option<PathBuf>) -> Self {
        Self { dir: dir.into(), program }
    }

    /// The cache of a data folder: `<data_dir>/cache`.
    pub fn of_data_dir(data_dir: &Path, program: Option<PathBuf>) -> Self {
        Self::new(data_dir.join("cache"), program)
    }

    /// The cache file.
    pub fn file(&self) -> PathBuf {
        self.dir.join("rules.cache")
    }

    /// Identifies the program: another version, or another build of this one, may read rules
    /// differently.
    fn writer(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(env!("CARGO_PKG_VERSION"));
        if let Some(path) = &self.program
            && let Ok(meta) = std::fs::metadata(path)
        {
            hasher.update(meta.len().to_le_bytes());
            let changed = meta.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            hasher.update(changed.unwrap_or_default().as_nanos().to_le_bytes());
        }
        hasher.finalize().into()
    }
}

type Hash = [u8; 32];
type Key = (Hash, u8);

const MAGIC: &[u8; 8] = b"TCSNRUL1";
const HEAD: usize = 8 + 32 + 4;
const ENTRY: usize = 32 + 1 + 8 + 4 + 32;
/// Most entries that are believed.
const ENTRIES: usize = 1 << 20;

/// Where the payload of an entry lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    length: u32,
    check: Hash,
}

/// A cache open for one load.
#[derive(Debug, Default)]
pub(super) struct Cache {
    dir: Option<CacheDir>,
    file: Option<File>,
    index: HashMap<Key, Place>,
    used: HashSet<Key>,
    fresh: Vec<(Key, Vec<u8>)>,
    buffer: Vec<u8>,
}

impl Cache {
    /// Opens the cache in `dir`; one that is not there, damaged or written by another program is
    /// empty.
    pub(super) fn open(dir: Option<&CacheDir>) -> Self {
        let mut cache = Self { dir: dir.cloned(), ..Self::default() };
        if let Some(dir) = dir
            && let Ok(mut file) = File::open(dir.file())
            && let Some(index) = read_index(&mut file, &dir.writer())
        {
            cache.file = Some(file);
            cache.index = index;
        }
        cache
    }

    /// What a file with this content gave.
    pub(super) fn get(&mut self, key: &Hash, format: Format) -> Option<LoadedFile> {
        let key = (*key, format as u8);
        let place = *self.index.get(&key)?;
        let loaded = self.payload(place).and_then(|()| rmp_serde::from_slice(&self.buffer).ok());
        if loaded.is_some() {
            self.used.insert(key);
        } else {
            self.index.remove(&key);
        }
        loaded
    }

    /// Remembers what a file with this content gave.
    pub(super) fn put(&mut self, key: Hash, format: Format, loaded: &LoadedFile) {
        if self.dir.is_some()
            && let Ok(payload) = rmp_serde::to_vec(loaded)
        {
            self.fresh.push(((key, format as u8), payload));
        }
    }

    /// Writes what was added. Entries of files that were not asked for stay, until they are more
    /// than those that were.
    pub(super) fn close(mut self) -> io::Result<()> {
        let Some(dir) = self.dir.take() else { return Ok(()) };
        if self.fresh.is_empty() {
            return Ok(());
        }
        let mut payloads = std::mem::take(&mut self.fresh);
        let mut keys: HashSet<Key> = payloads.iter().map(|(key, _)| *key).collect();
        payloads.retain({
            let mut seen = HashSet::new();
            move |(key, _)| seen.insert(*key)
        });
        let mut old: Vec<(Key, Place)> = self.index.iter().map(|(key, place)| (*key, *place)).collect();
        old.sort_unstable_by_key(|(_, place)| place.offset);
        let idle = old.iter().filter(|(key, _)| !self.used.contains(key)).count();
        let keep_idle = idle <= self.used.len() + payloads.len();
        for (key, place) in old {
            let wanted = keep_idle || self.used.contains(&key);
            if wanted && keys.insert(key) && self.payload(place).is_some() {
                payloads.push((key, self.buffer.clone()));
            }
        }
        write(&dir, &payloads)
    }

    /// Reads a payload into the buffer; `None` when it does not check.
    fn payload(&mut self, place: Place) -> Option<()> {
        let file = self.file.as_mut()?;
        file.seek(SeekFrom::Start(place.offset)).ok()?;
        self.buffer.clear();
        let length = u64::from(place.length);
        file.take(length).read_to_end(&mut self.buffer).ok()?;
        let whole =
            self.buffer.len() as u64 == length && Hash::from(Sha256::digest(&self.buffer)) == place.check;
        whole.then_some(())
    }
}

fn read_index(file: &mut File, writer: &Hash) -> Option<HashMap<Key, Place>> {
    let mut head = [0_u8; HEAD];
    file.read_exact(&mut head).ok()?;
    let (magic, rest) = head.split_first_chunk::<8>()?;
    let (by, count) = rest.split_first_chunk::<32>()?;
    let count = u32::from_le_bytes(*count.first_chunk()?) as usize;
    if magic != MAGIC || by != writer || count > ENTRIES {
        return None;
    }
    let mut index = vec![0_u8; count * ENTRY + 32];
    file.read_exact(&mut index).ok()?;
    let (entries, check) = index.split_last_chunk::<32>()?;
    let mut hasher = Sha256::new();
    hasher.update(head);
    hasher.update(entries);
    if Hash::from(hasher.finalize()) != *check {
        return None;
    }
    let mut places = HashMap::with_capacity(count);
    for entry in entries.chunks_exact(ENTRY) {
        let (key, rest) = entry.split_first_chunk::<32>()?;
        let (format, rest) = rest.split_first_chunk::<1>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (length, check) = rest.split_first_chunk::<4>()?;
        let place = Place {
            offset: u64::from_le_bytes(*offset),
            length: u32::from_le_bytes(*length),
            check: *check.first_chunk()?,
        };
        places.insert((*key, format[0]), place);
    }
    Some(places)
}

/// Writes a whole new cache beside the old one and puts it in its place.
fn write(dir: &CacheDir, payloads: &[(Key, Vec<u8>)]) -> io::Result<()> {
    std::fs::create_dir_all(&dir.dir)?;
    let mut head = Vec::with_capacity(HEAD + payloads.len() * ENTRY + 32);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&dir.writer());
    let count = u32::try_from(payloads.len()).map_err(io::Error::other)?;
    head.extend_from_slice(&count.to_le_bytes());
    let mut offset = (HEAD + payloads.len() * ENTRY + 32) as u64;
    for ((key, format), payload) in payloads {
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        head.extend_from_slice(key);
        head.push(*format);
        head.extend_from_slice(&offset.to_le_bytes());
        head.extend_from_slice(&length.to_le_bytes());
        head.extend_from_slice(&Sha256::digest(payload));
        offset += u64::from(length);
    }
    let check = Sha256::digest(&head);
    head.extend_from_slice(&check);
    let temporary = dir.dir.join(format!("rules.cache.{}", std::process::id()));
    let written = (|| {
        let mut out = BufWriter::new(File::create(&temporary)?);
        out.write_all(&head)?;
        for (_, payload) in payloads {
            out.write_all(payload)?;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?;
        std::fs::rename(&temporary, dir.file())
    })();
    if written.is_err() {
        // The old cache, if any, is still whole; the half-written one must not stay behind.
        std::fs::remove_file(&temporary).ok();
    }
    written
}
