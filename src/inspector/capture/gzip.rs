//! Captures compressed with gzip (RFC 1952), recognised by its magic number.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;

use super::recorded::CaptureError;

/// The most bytes that are restored from a compressed capture: 1 GiB. A larger one is refused.
pub const LARGEST_RESTORED: usize = 1 << 30;

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// The bytes of a compressed file.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) bytes: Vec<u8>,
    /// The place where the compressed data end too early, or are damaged.
    pub(super) cut_short: Option<String>,
}

/// Decompresses a file; returns `None` if it is not compressed.
pub(super) fn restore(file: &[u8]) -> Result<Option<Restored>, CaptureError> {
    restore_up_to(file, LARGEST_RESTORED)
}

fn restore_up_to(file: &[u8], most: usize) -> Result<Option<Restored>, CaptureError> {
    if !file.starts_with(&MAGIC) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let read = MultiGzDecoder::new(file).take(most as u64 + 1).read_to_end(&mut bytes);
    if bytes.len() > most {
        return Err(CaptureError::TooLarge(most));
    }
    let cut_short = match read {
        Ok(_) => None,
        Err(error) if bytes.is_empty() => return Err(CaptureError::Gzip(error.to_string())),
        Err(_) => Some(format!("the gzip file is truncated or damaged after {} restored bytes", bytes.len())),
    };
    Ok(Some(Restored { bytes, cut_short }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::read;
    use super::*;

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A raw dump with a thousand PINGs that can't be compressed well.
    fn dump() -> Vec<u8> {
        let mut dump = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for number in 0..1_000_u64 {
            dump.extend([0, 0, 8, 6, 0, 0, 0, 0, 0]);
            dump.extend(number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        }
        dump
    }

    #[test]
    fn compressed_capture_decodes_like_the_original() {
        let dump = dump();
        let plain = read(&dump).unwrap();
        assert_eq!(read(&compressed(&dump)).unwrap(), plain);
        // Several members, as of files that were appended to each other.
        let (head, tail) = dump.split_at(500);
        assert_eq!(read(&[compressed(head), compressed(tail)].concat()).unwrap(), plain);
    }

    #[test]
    fn truncated_or_damaged_capture_is_read_up_to_the_damage() {
        let whole = compressed(&dump());
        for broken in [whole[..whole.len() / 2].to_vec(), [&whole[..], b"and more"].concat()] {
            let capture = read(&broken).unwrap();
            assert!(capture.cut_short.unwrap().contains("truncated or damaged"));
            assert!(!capture.connections[0].chunks.is_empty());
        }
        assert!(matches!(read(&whole[..5]), Err(CaptureError::Gzip(_))));
        assert!(matches!(read(&compressed(b"nothing known")), Err(CaptureError::Unknown)));
        assert!(matches!(read(&compressed(b"")), Err(CaptureError::Empty)));
    }

    #[test]
    fn more_than_the_limit_is_refused() {
        let bomb = compressed(&vec![0; 100_000]);
        assert_eq!(restore_up_to(&bomb, 99_999).unwrap_err(), CaptureError::TooLarge(99_999));
        assert_eq!(restore_up_to(&bomb, 100_000).unwrap().unwrap().bytes.len(), 100_000);
    }
}
