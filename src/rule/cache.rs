//! The cache of loaded rules: what files with known content gave.
//!
//! One file, `rules.cache`, in the cache folder:
//!
//! ```text
//! magic     8 bytes  "TCSNRUL4"
//! writer   32 bytes  SHA-256 of what identifies the program that wrote it
//! count     4 bytes  entries, little endian
//! at        8 bytes  where the index starts
//! payloads           each a MessagePack of `LoadedFile`
//! index     count x (key 32, format 1, offset 8, length 4, SHA-256 of the payload 32)
//! check    32 bytes  SHA-256 of the first 52 bytes and the index
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

const MAGIC: &[u8; 8] = b"TCSNRUL4";
const HEAD: usize = 8 + 32 + 4 + 8;
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
    new: Option<Writing>,
    failed: Option<io::Error>,
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

    /// Remembers what a file with this content gave. It goes to the new cache file at once, so that
    /// a first start with thousands of rules does not hold them twice. Returns what the cache will
    /// give: the same without the room for growth that reading a file leaves in it, so that a first
    /// start holds no more than later ones.
    pub(super) fn put(
        &mut self,
        key: Hash,
        format: Format,
        loaded: &LoadedFile,
    ) -> io::Result<Option<LoadedFile>> {
        let Some(dir) = &self.dir else { return Ok(None) };
        let new = match &mut self.new {
            Some(new) => new,
            None => self.new.insert(Writing::begin(dir)?),
        };
        let payload = rmp_serde::to_vec(loaded).map_err(io::Error::other)?;
        new.add((key, format as u8), &payload)?;
        Ok(rmp_serde::from_slice(&payload).ok())
    }

    /// Stops keeping anything: the folder cannot be written. [`Cache::close`] tells why.
    pub(super) fn give_up(&mut self, error: io::Error) {
        self.dir = None;
        self.new = None;
        self.failed = Some(error);
    }

    /// Puts what was added in force. Entries of files that were not asked for stay, until they are
    /// more than those that were.
    pub(super) fn close(mut self) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let (Some(dir), Some(mut new)) = (self.dir.take(), self.new.take()) else { return Ok(()) };
        let mut old: Vec<(Key, Place)> = self.index.iter().map(|(key, place)| (*key, *place)).collect();
        old.sort_unstable_by_key(|(_, place)| place.offset);
        let idle = old.iter().filter(|(key, _)| !self.used.contains(key)).count();
        let keep_idle = idle <= self.used.len() + new.places.len();
        for (key, place) in old {
            if (keep_idle || self.used.contains(&key)) && self.payload(place).is_some() {
                new.add(key, &self.buffer)?;
            }
        }
        new.finish(&dir)
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
    let (by, rest) = rest.split_first_chunk::<32>()?;
    let (count, at) = rest.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*count) as usize;
    if magic != MAGIC || by != writer || count > ENTRIES {
        return None;
    }
    file.seek(SeekFrom::Start(u64::from_le_bytes(*at.first_chunk()?))).ok()?;
    let mut index = vec![0_u8; count * ENTRY + 32];
    file.read_exact(&mut index).ok()?;
    let (entries, check) = index.split_last_chunk::<32>()?;
    if checksum(&head, entries) != *check {
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

fn checksum(head: &[u8], entries: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(head);
    hasher.update(entries);
    hasher.finalize().into()
}

/// A new cache file, written beside the old one.
#[derive(Debug)]
struct Writing {
    out: BufWriter<File>,
    path: PathBuf,
    at: u64,
    places: Vec<(Key, Place)>,
    seen: HashSet<Key>,
    done: bool,
}

impl Writing {
    fn begin(dir: &CacheDir) -> io::Result<Self> {
        std::fs::create_dir_all(&dir.dir)?;
        let path = dir.dir.join(format!("rules.cache.{}", std::process::id()));
        let mut out = BufWriter::new(File::create(&path)?);
        // The head is known at the end; until then the file is no cache.
        out.write_all(&[0; HEAD])?;
        Ok(Self { out, path, at: HEAD as u64, places: Vec::new(), seen: HashSet::new(), done: false })
    }

    fn add(&mut self, key: Key, payload: &[u8]) -> io::Result<()> {
        if !self.seen.insert(key) {
            return Ok(());
        }
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        self.out.write_all(payload)?;
        self.places.push((key, Place { offset: self.at, length, check: Sha256::digest(payload).into() }));
        self.at += u64::from(length);
        Ok(())
    }

    /// Writes the index and the head, and puts the file in the place of the old one.
    fn finish(mut self, dir: &CacheDir) -> io::Result<()> {
        let mut entries = Vec::with_capacity(self.places.len() * ENTRY);
        for ((key, format), place) in &self.places {
            entries.extend_from_slice(key);
            entries.push(*format);
            entries.extend_from_slice(&place.offset.to_le_bytes());
            entries.extend_from_slice(&place.length.to_le_bytes());
            entries.extend_from_slice(&place.check);
        }
        let count = u32::try_from(self.places.len()).map_err(io::Error::other)?;
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&dir.writer());
        head.extend_from_slice(&count.to_le_bytes());
        head.extend_from_slice(&self.at.to_le_bytes());
        self.out.write_all(&entries)?;
        self.out.write_all(&checksum(&head, &entries))?;
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&head)?;
        self.out.flush()?;
        std::fs::rename(&self.path, dir.file())?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.done {
            // The old cache, if any, is still whole; a half-written one must not stay behind.
            std::fs::remove_file(&self.path).ok();
        }
    }
}
