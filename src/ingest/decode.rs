//! From the bytes of a file to its content: gzip and zstd by what they start with, never by name.
//!
//! Members that were concatenated are read one after the other. A gzip member up to [`HELD`] is handed
//! out only when its checksum holds, since damage may lie before the place where it is noticed; what
//! a cut-off file still has is handed out before the error is. Size and ratio are capped, so a bomb
//! ends early.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;

use crate::base::limits::{DECODE_RATIO, DECODE_RATIO_FROM, DECODED_FILE_BYTES};

/// Why a file cannot be decoded to its end. What came before was handed out.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The compressed data ends too early, as when a file was copied while it was written.
    #[error("the compressed data is cut off (after {decoded} decoded bytes)")]
    Truncated {
        /// Bytes that were decoded.
        decoded: u64,
    },
    /// The compressed data is damaged.
    #[error("the compressed data is damaged (after {decoded} decoded bytes): {reason}")]
    Corrupt {
        /// Bytes that were decoded.
        decoded: u64,
        /// What the decoder says.
        reason: String,
    },
    /// The content is larger than [`DECODED_FILE_BYTES`].
    #[error("the content is larger than {DECODED_FILE_BYTES} bytes")]
    TooLarge,
    /// Ever so little data becomes ever so much.
    #[error(
        "{compressed} compressed bytes became {decoded}: more than {DECODE_RATIO} to 1, taken for a decompression bomb"
    )]
    Bomb {
        /// Compressed bytes read.
        compressed: u64,
        /// Bytes they became.
        decoded: u64,
    },
    /// The file cannot be read.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
}

/// Counts the bytes that pass.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

type Input = BufReader<Counted<Box<dyn Read + Send>>>;

enum Body {
    Plain(Input),
    Gzip(Box<Members>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Input>>),
}

/// Content of a gzip member that is held until its checksum was seen, bytes. CloudTrail's files are
/// smaller; of a larger member the rest is handed out as it is decoded.
const HELD: u64 = 16 * 1024 * 1024;

/// The first bytes of a gzip member.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Gzip members, one after the other.
struct Members {
    /// The member being read; none after the last.
    member: Option<GzDecoder<Input>>,
    held: Vec<u8>,
    /// How much of `held` was handed out.
    given: usize,
    /// The member is larger than [`HELD`]: its rest is handed out as it comes.
    streaming: bool,
    /// What is to be said when `held` was handed out.
    error: Option<io::Error>,
}

impl Members {
    fn new(input: Input) -> Self {
        Self {
            member: Some(GzDecoder::new(input)),
            held: Vec::new(),
            given: 0,
            streaming: false,
            error: None,
        }
    }

    /// Holds the next piece of content: a whole member, or the first part of a large one.
    fn fill(&mut self, member: &mut GzDecoder<Input>) -> io::Result<()> {
        self.held.clear();
        self.given = 0;
        match member.take(HELD).read_to_end(&mut self.held) {
            Ok(read) => self.streaming = read as u64 == HELD,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.error = Some(error),
            Err(error) => {
                self.held.clear();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Opens the member after the one that ended.
    fn next(&mut self, ended: GzDecoder<Input>) -> io::Result<()> {
        let mut input = ended.into_inner();
        let head = input.fill_buf()?;
        if head.starts_with(GZIP.get(..head.len().min(GZIP.len())).unwrap_or(GZIP)) {
            self.member = (!head.is_empty()).then(|| GzDecoder::new(input));
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "what follows is no gzip member"))
    }
}

impl Read for Members {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(rest) = self.held.get(self.given..).filter(|rest| !rest.is_empty()) {
                let length = rest.len().min(buffer.len());
                if let (Some(from), Some(to)) = (rest.get(..length), buffer.get_mut(..length)) {
                    to.copy_from_slice(from);
                }
                self.given += length;
                return Ok(length);
            }
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            let Some(mut member) = self.member.take() else { return Ok(0) };
            if self.streaming {
                let read = member.read(buffer)?;
                if read > 0 {
                    self.member = Some(member);
                    return Ok(read);
                }
                self.streaming = false;
                self.next(member)?;
                continue;
            }
            self.fill(&mut member)?;
            if self.streaming {
                self.member = Some(member);
            } else if self.error.is_none()
                && let Err(error) = self.next(member)
            {
                self.error = Some(error);
            }
        }
    }
}

/// A file's content, decoded as it is read.
pub struct Decoder {
    body: Body,
    compressed: Arc<AtomicU64>,
    decoded: u64,
    cap: u64,
}

const READ_BUFFER: usize = 128 * 1024;

impl Decoder {
    /// A decoder over `input`; its first bytes say how it is compressed.
    ///
    /// # Errors
    /// When the first bytes cannot be read.
    pub fn new(input: Box<dyn Read + Send>) -> Result<Self, DecodeError> {
        Self::with_cap(input, DECODED_FILE_BYTES)
    }

    /// As [`Decoder::new`] with another cap on the size of the content.
    ///
    /// # Errors
    /// When the first bytes cannot be read.
    pub fn with_cap(input: Box<dyn Read + Send>, cap: u64) -> Result<Self, DecodeError> {
        let compressed = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: input, count: Arc::clone(&compressed) };
        let mut input = BufReader::with_capacity(READ_BUFFER, counted);
        // A short first read (a pipe) may hold less than the four bytes; only gzip needs but two.
        let head = input.fill_buf()?;
        let body = if head.starts_with(GZIP) {
            Body::Gzip(Box::new(Members::new(input)))
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Body::Zstd(Box::new(zstd::stream::read::Decoder::with_buffer(input)?))
        } else {
            Body::Plain(input)
        };
        Ok(Self { body, compressed, decoded: 0, cap })
    }

    /// Compressed bytes read so far, shared so that progress can be watched.
    pub fn compressed(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.compressed)
    }

    /// Reads decoded bytes into `buffer`; 0 means the end.
    ///
    /// # Errors
    /// When the data is cut off or damaged, or a cap is passed.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, DecodeError> {
        let result = match &mut self.body {
            Body::Plain(inner) => inner.read(buffer),
            Body::Gzip(inner) => inner.read(buffer),
            Body::Zstd(inner) => inner.read(buffer),
        };
        let decoded = self.decoded;
        let read = match result {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(DecodeError::Truncated { decoded });
            }
            Err(error) if error.raw_os_error().is_some() => return Err(DecodeError::Io(error)),
            Err(error) => return Err(DecodeError::Corrupt { decoded, reason: error.to_string() }),
        };
        self.decoded += read as u64;
        if self.decoded > self.cap {
            return Err(DecodeError::TooLarge);
        }
        let compressed = self.compressed.load(Ordering::Relaxed);
        if self.decoded > DECODE_RATIO_FROM && self.decoded / DECODE_RATIO > compressed {
            return Err(DecodeError::Bomb { compressed, decoded: self.decoded });
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(data).unwrap();
        out.finish().unwrap()
    }

    /// Everything that can be read, and the error that ended it.
    fn read(data: Vec<u8>, cap: u64) -> (Vec<u8>, Option<DecodeError>) {
        let mut decoder = Decoder::with_cap(Box::new(io::Cursor::new(data)), cap).unwrap();
        let mut out = Vec::new();
        let mut buffer = vec![0; 4096];
        loop {
            match decoder.read(&mut buffer) {
                Ok(0) => return (out, None),
                Ok(read) => out.extend_from_slice(&buffer[..read]),
                Err(error) => return (out, Some(error)),
            }
        }
    }

    const ALL: u64 = u64::MAX;

    #[test]
    fn compression_is_told_by_content() {
        for data in [b"plain".to_vec(), gzip(b"plain"), zstd::encode_all(&b"plain"[..], 1).unwrap()] {
            let (out, error) = read(data, ALL);
            assert_eq!(out, b"plain");
            assert!(error.is_none());
        }
        assert!(read(Vec::new(), ALL).1.is_none());
    }

    #[test]
    fn concatenated_members_are_one_content() {
        assert_eq!(read([gzip(b"one "), gzip(b"two")].concat(), ALL).0, b"one two");
        let frames = [zstd::encode_all(&b"one "[..], 1).unwrap(), zstd::encode_all(&b"two"[..], 1).unwrap()];
        assert_eq!(read(frames.concat(), ALL).0, b"one two");
    }

    #[test]
    fn cut_off_data_is_kept_and_told() {
        let text: Vec<u8> = (0..200_000u32).flat_map(|n| n.to_string().into_bytes()).collect();
        for whole in [gzip(&text), zstd::encode_all(&text[..], 3).unwrap()] {
            let (out, error) = read(whole[..whole.len() / 2].to_vec(), ALL);
            assert!(out.len() > 10_000, "{} bytes kept", out.len());
            assert!(text.starts_with(&out));
            assert!(matches!(error, Some(DecodeError::Truncated { .. })), "{error:?}");
        }
    }

    #[test]
    fn damaged_data_is_told() {
        let mut data = gzip(&vec![7; 100_000]);
        let middle = data.len() / 2;
        data[middle] ^= 0xff;
        data[middle + 1] ^= 0xff;
        let error = read(data, ALL).1.unwrap();
        assert!(error.to_string().contains("damaged"), "{error}");
        let text: Vec<u8> = (0..20_000u32).flat_map(|n| n.to_string().into_bytes()).collect();
        let mut flipped = gzip(&text);
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x01;
        let (out, error) = read([gzip(b"whole "), flipped].concat(), ALL);
        assert_eq!(out, b"whole ", "nothing of a damaged member is handed out");
        assert!(matches!(error, Some(DecodeError::Corrupt { .. })), "{error:?}");
        let garbage = [gzip(b"one"), b"garbage after it".to_vec()].concat();
        let (out, error) = read(garbage, ALL);
        assert_eq!(out, b"one");
        assert!(matches!(error, Some(DecodeError::Corrupt { .. })), "{error:?}");
    }

    #[test]
    fn size_is_capped() {
        let (out, error) = read(gzip(&vec![0; 1_000_000]), 100_000);
        assert!(matches!(error, Some(DecodeError::TooLarge)));
        assert!(out.len() <= 100_000);
    }

    #[test]
    fn a_bomb_ends_early() {
        // Zeros shrink to a thousandth as gzip, which is believed, and to far less as zstd.
        let zeros = io::repeat(0).take(256 << 20);
        let bomb = zstd::encode_all(zeros, 1).unwrap();
        let mut decoder = Decoder::new(Box::new(io::Cursor::new(bomb))).unwrap();
        let mut buffer = vec![0; 1 << 20];
        let mut total = 0u64;
        let error = loop {
            match decoder.read(&mut buffer) {
                Ok(read) => total += read as u64,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, DecodeError::Bomb { .. }), "{error}");
        assert!(total <= DECODE_RATIO_FROM + (1 << 20), "{total}");
    }
}
