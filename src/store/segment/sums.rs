//! Checksums of a segment's file, block by block. They are taken while the file is written, kept in
//! the manifest, and compared whenever a block is read: a damaged file is noticed by the first
//! search that reads the damage, and never answers with other events.
//!
//! Parquet has checksums of pages, but the writer that we use leaves them out; these cover footers,
//! bloom filters and dictionaries too.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use twox_hash::XxHash3_64;

/// Bytes that one checksum is of; the last block of a file is shorter.
const BLOCK: usize = 32 * 1024;

/// The checksum of each block of a file (XXH3, 64 bits), in order.
pub(crate) type Sums = Arc<[u64]>;

/// Sums as bytes, little-endian, as the manifest keeps them.
pub(crate) fn encode(sums: &[u64]) -> Vec<u8> {
    sums.iter().flat_map(|sum| sum.to_le_bytes()).collect()
}

/// Sums from what [`encode`] gave.
pub(crate) fn decode(bytes: &[u8]) -> Sums {
    let (sums, _) = bytes.as_chunks::<8>();
    sums.iter().map(|sum| u64::from_le_bytes(*sum)).collect()
}

/// Passes a file on and takes its sums.
#[derive(Debug)]
pub(super) struct Summing<W> {
    out: W,
    /// The beginning of a block whose end has not come yet.
    open: Vec<u8>,
    sums: Vec<u64>,
}

impl<W> Summing<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, open: Vec::with_capacity(BLOCK), sums: Vec::new() }
    }

    /// What was written to, and the sums of all that was written.
    pub(super) fn finish(mut self) -> (W, Sums) {
        if !self.open.is_empty() {
            self.sums.push(XxHash3_64::oneshot(&self.open));
        }
        (self.out, self.sums.into())
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.open.is_empty()
                && let Some((block, rest)) = bytes.split_at_checked(BLOCK)
            {
                self.sums.push(XxHash3_64::oneshot(block));
                bytes = rest;
                continue;
            }
            let (head, rest) = bytes.split_at(bytes.len().min(BLOCK - self.open.len()));
            self.open.extend_from_slice(head);
            bytes = rest;
            if self.open.len() == BLOCK {
                self.sums.push(XxHash3_64::oneshot(&self.open));
                self.open.clear();
            }
        }
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.add(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A file whose blocks are compared with their sums as they are read. Cheap to clone.
#[derive(Clone)]
pub(super) struct SummedFile {
    inner: Arc<Inner>,
}

struct Inner {
    file: Mutex<Reading>,
    length: u64,
    /// `None`: the manifest of an earlier version has none of this file.
    sums: Option<Sums>,
}

struct Reading {
    file: File,
    /// The block read last: what follows a page's header is mostly in it too.
    last: Option<(u64, Bytes)>,
}

fn damaged(from: u64, to: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("it is damaged: bytes {from} to {to} are not as they were written"),
    )
}

impl SummedFile {
    pub(super) fn new(file: File, sums: Option<Sums>) -> io::Result<Self> {
        let length = file.metadata()?.len();
        if let Some(sums) = &sums
            && length.div_ceil(BLOCK as u64) != sums.len() as u64
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it is damaged: it has {length} bytes, which is not what was written"),
            ));
        }
        let file = Mutex::new(Reading { file, last: None });
        Ok(Self { inner: Arc::new(Inner { file, length, sums }) })
    }

    /// Reads the whole file once.
    pub(super) fn verify(&self) -> io::Result<()> {
        let blocks = self.inner.length.div_ceil(BLOCK as u64);
        let step = 64;
        (0..blocks)
            .step_by(step)
            .try_for_each(|first| self.inner.blocks(first, (first + step as u64).min(blocks)).map(drop))
    }
}

impl Inner {
    /// The bytes of blocks `from..to`.
    fn blocks(&self, from: u64, to: u64) -> io::Result<Bytes> {
        let mut reading = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if to == from + 1
            && let Some((number, bytes)) = &reading.last
            && *number == from
        {
            return Ok(bytes.clone());
        }
        let start = from * BLOCK as u64;
        let end = (to * BLOCK as u64).min(self.length);
        let mut bytes = Vec::new();
        reading.file.seek(SeekFrom::Start(start))?;
        let wanted = end.saturating_sub(start);
        bytes.try_reserve_exact(usize::try_from(wanted).map_err(io::Error::other)?)?;
        Read::by_ref(&mut reading.file).take(wanted).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(sums) = &self.sums {
            for (block, number) in bytes.chunks(BLOCK).zip(from..) {
                let known = usize::try_from(number).ok().and_then(|number| sums.get(number));
                if known != Some(&XxHash3_64::oneshot(block)) {
                    let at = number * BLOCK as u64;
                    return Err(damaged(at, at + block.len() as u64));
                }
            }
        }
        let bytes = Bytes::from(bytes);
        if let Some(last) = to.checked_sub(1).filter(|_| !bytes.is_empty()) {
            let at = usize::try_from((last - from) * BLOCK as u64).unwrap_or(usize::MAX);
            // A copy, so that a large read is not held for its last block.
            let block = Bytes::copy_from_slice(bytes.get(at..).unwrap_or(&[]));
            reading.last = Some((last, block));
        }
        Ok(bytes)
    }
}

impl Length for SummedFile {
    fn len(&self) -> u64 {
        self.inner.length
    }
}

impl ChunkReader for SummedFile {
    type T = SummedReader;

    fn get_read(&self, start: u64) -> Result<SummedReader, ParquetError> {
        Ok(SummedReader { file: self.clone(), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.inner.length);
        let Some(end) = end else {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} go beyond the file")));
        };
        if length == 0 {
            return Ok(Bytes::new());
        }
        let from = start / BLOCK as u64;
        let bytes = self.inner.blocks(from, end.div_ceil(BLOCK as u64))?;
        let skip = usize::try_from(start - from * BLOCK as u64)?;
        Ok(bytes.slice(skip..skip + length))
    }
}

/// Reads on from a place in a [`SummedFile`].
pub(super) struct SummedReader {
    file: SummedFile,
    at: u64,
}

impl Read for SummedReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.file.inner.length || out.is_empty() {
            return Ok(0);
        }
        let number = self.at / BLOCK as u64;
        let block = self.file.inner.blocks(number, number + 1)?;
        let skip = usize::try_from(self.at - number * BLOCK as u64).map_err(io::Error::other)?;
        let mut rest = block.get(skip..).unwrap_or(&[]);
        let read = rest.read(out)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written_or_an_error(
            length in 0usize..200_000,
            pieces in prop::collection::vec(1usize..70_000, 1..6),
            reads in prop::collection::vec((0usize..200_000, 0usize..80_000), 1..6),
            flip in prop::option::of(0usize..200_000),
        ) {
            let data: Vec<u8> = (0..length).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect();
            let mut summing = Summing::new(Vec::new());
            let mut rest = &data[..];
            for piece in pieces.iter().cycle() {
                let (head, tail) = rest.split_at(rest.len().min(*piece));
                summing.write_all(head).unwrap();
                rest = tail;
                if rest.is_empty() {
                    break;
                }
            }
            let (mut written, sums) = summing.finish();
            prop_assert_eq!(&written, &data);
            prop_assert_eq!(&decode(&encode(&sums)), &sums);
            let flip = flip.filter(|at| *at < length);
            if let Some(at) = flip {
                written[at] ^= 0x10;
            }
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&written).unwrap();
            let file = SummedFile::new(file, Some(sums)).unwrap();
            prop_assert_eq!(file.verify().is_err(), flip.is_some());
            for (start, wanted) in reads {
                let (start, end) = (start.min(length), (start + wanted).min(length));
                let end = end.max(start);
                let touched = flip.is_some_and(|at| {
                    end > start && (start / BLOCK..=(end - 1) / BLOCK).contains(&(at / BLOCK))
                });
                match file.get_bytes(start as u64, end - start) {
                    Ok(bytes) => prop_assert!(!touched && bytes[..] == data[start..end]),
                    Err(_) => prop_assert!(touched),
                }
                let mut bytes = vec![0; end - start];
                let read = file.get_read(start as u64).unwrap().read_exact(&mut bytes);
                prop_assert!(read.is_err() == touched && (touched || bytes == data[start..end]));
            }
        }
    }
}
