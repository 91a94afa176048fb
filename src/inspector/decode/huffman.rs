//! Huffman-coded strings (RFC 7541, section 5.2 and Appendix B), decoded with the lengths of the codes alone.

use std::sync::LazyLock;

use super::hpack_error::HpackError;
use super::hpack_tables::{CODE_LENGTHS, EOS};

/// The longest code, in bits.
const LONGEST: usize = 30;

/// Decodes `coded`; the result has at most 8/5 of its length.
///
/// # Errors
///
/// [`HpackError::HuffmanEos`] if the end-of-string symbol occurs, [`HpackError::HuffmanPadding`] if the last octet is
/// not padded with the first bits of that symbol.
pub(crate) fn decode(coded: &[u8]) -> Result<Vec<u8>, HpackError> {
    let mut text = Vec::with_capacity(coded.len() * 8 / 5);
    let mut octets = coded.iter();
    // The next bits in the highest bits of the word, followed by zeros.
    let (mut bits, mut there) = (0_u64, 0);
    loop {
        while there <= u64::BITS as usize - 8
            && let Some(octet) = octets.next()
        {
            bits |= u64::from(*octet) << (u64::BITS as usize - 8 - there);
            there += 8;
        }
        let head = (bits >> 32) as u32;
        match symbol(head) {
            Some((symbol, length)) if length <= there => {
                if symbol == EOS {
                    return Err(HpackError::HuffmanEos);
                }
                text.push(symbol as u8);
                (bits, there) = (bits << length, there - length);
            }
            _ => break,
        }
    }
    // The padding: fewer than eight bits, all ones.
    let padded_with_ones = there < 8 && bits.leading_ones() as usize == there;
    if padded_with_ones { Ok(text) } else { Err(HpackError::HuffmanPadding) }
}

/// Returns a meaningless coded string with this number of octets and of symbols. It replaces a redacted value: decoders
/// continue as before, and the filler is a valid header value. Returns `None` if no such string exists.
pub(crate) fn filler(octets: usize, symbols: usize) -> Option<Vec<u8>> {
    let mut bits = octets.checked_mul(8)?;
    let mut out = vec![0xff; octets];
    let mut at = 0;
    for left in (1..=symbols).rev() {
        // The longest code up to the average of the remaining length, so that the rest can still be filled.
        let length = (bits / left).min(LONGEST);
        let &(code, length) = FILLERS.iter().rev().find(|(_, known)| *known <= length)?;
        for bit in (0..length).rev() {
            if code >> bit & 1 == 0 {
                *out.get_mut(at / 8)? &= !(0x80 >> (at % 8));
            }
            at += 1;
        }
        bits -= length;
    }
    // The remaining bits are padding, all ones.
    (bits < 8).then_some(out)
}

/// The most harmless symbol of each code length, shortest code first.
static FILLERS: LazyLock<Vec<(u32, usize)>> = LazyLock::new(|| {
    let filler = |(length, group): (usize, &Group)| {
        let symbols = CANONICAL.symbols.iter().skip(group.first_place as usize).take(group.count as usize);
        let (code, _) = (group.first_code..).zip(symbols).min_by_key(|(_, symbol)| harm(**symbol))?;
        Some((code, length))
    };
    CANONICAL.groups.iter().enumerate().filter_map(filler).collect()
});

/// Rates how unsuitable a symbol is for a value: letters and digits suit best, octets that RFC 9113 forbids (section
/// 8.2.1) least.
fn harm(symbol: u16) -> u8 {
    match u8::try_from(symbol) {
        Ok(octet) if octet.is_ascii_alphanumeric() => 0,
        Ok(b'!'..=b'~') => 1,
        Ok(0x80..) => 2,
        // Forbidden at the ends of a value, in every value, and in every string.
        Ok(b' ' | b'\t') => 4,
        Ok(0 | b'\r' | b'\n') => 5,
        Ok(_) => 3,
        Err(_) => 6,
    }
}

/// Returns the symbol whose code the 32 bits begin with, and the number of its bits. Longer codes have higher numbers,
/// so the right length is the first one whose bound exceeds the bits.
fn symbol(head: u32) -> Option<(usize, usize)> {
    let at = CANONICAL.groups.iter().position(|group| u64::from(head) < group.behind)?;
    let group = CANONICAL.groups.get(at)?;
    let place = group.first_place + (head >> (32 - at)).checked_sub(group.first_code)?;
    CANONICAL.symbols.get(place as usize).map(|&symbol| (usize::from(symbol), at))
}

/// The codes of one length: consecutive, in the order of their symbols.
#[derive(Clone, Copy)]
struct Group {
    first_code: u32,
    count: u32,
    first_place: u32,
    /// The exclusive upper bound of 32 bits that begin with one of the codes, or with a shorter one.
    behind: u64,
}

struct Canonical {
    groups: [Group; LONGEST + 1],
    symbols: [u16; 257],
}

static CANONICAL: Canonical = canonical();

/// Evaluated at compile time, so that an index out of bounds is a build error.
#[allow(clippy::indexing_slicing)]
const fn canonical() -> Canonical {
    let mut table = Canonical {
        groups: [Group { first_code: 0, count: 0, first_place: 0, behind: 0 }; LONGEST + 1],
        symbols: [0; 257],
    };
    let (mut length, mut code, mut place) = (1, 0, 0);
    while length <= LONGEST {
        code <<= 1;
        table.groups[length] = Group { first_code: code, count: 0, first_place: place, behind: 0 };
        let mut symbol = 0;
        while symbol < CODE_LENGTHS.len() {
            if CODE_LENGTHS[symbol] as usize == length {
                table.symbols[place as usize] = symbol as u16;
                table.groups[length].count += 1;
                code += 1;
                place += 1;
            }
            symbol += 1;
        }
        table.groups[length].behind = (code as u64) << (32 - length);
        length += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_equal_those_of_appendix_b() {
        for (code, length, expected) in [
            (0x0, 5, b'0'),
            (0x8, 5, b's'),
            (0x14, 6, b' '),
            (0x5c, 7, b':'),
            (0xf8, 8, b'&'),
            (0x3f8, 10, b'!'),
            (0x7fa, 11, b'\''),
            (0xffa, 12, b'#'),
            (0x1ff8, 13, 0),
            (0x3ffd, 14, b'}'),
            (0x7ffc, 15, b'<'),
            (0x7fff0, 19, b'\\'),
            (0xfffe6, 20, 128),
            (0x1fffdc, 21, 153),
            (0x3fffd2, 22, 129),
            (0x7fffd8, 23, 1),
            (0xffffea, 24, 9),
            (0x1ffffec, 25, 199),
            (0x3ffffe0, 26, 192),
            (0x7ffffde, 27, 203),
            (0xfffffe2, 28, 2),
            (0x3ffffffc, 30, 10),
        ] {
            assert_eq!(symbol(code << (32 - length)), Some((usize::from(expected), length)), "{code:#x}");
        }
        assert_eq!(symbol(0x3fffffff << 2), Some((EOS, 30)));
    }

    #[test]
    fn code_lengths_form_a_complete_code() {
        let sum: u64 = CODE_LENGTHS.iter().map(|&length| 1 << (LONGEST - usize::from(length))).sum();
        assert_eq!(sum, 1 << LONGEST);
    }

    #[test]
    fn filler_has_the_requested_length_and_symbols() {
        for symbols in 0..40 {
            for octets in 0..=(symbols * 30_usize).div_ceil(8) {
                let filler = filler(octets, symbols);
                let bits = octets * 8;
                let possible = bits >= symbols * 5 && (symbols > 0 || octets == 0);
                assert_eq!(filler.is_some(), possible, "{octets} octets, {symbols} symbols");
                if let Some(filler) = filler {
                    assert_eq!((filler.len(), decode(&filler).map(|text| text.len())), (octets, Ok(symbols)));
                }
            }
        }
    }

    #[test]
    fn filler_decodes_to_a_legal_header_value() {
        for symbols in 1..40 {
            for octets in 0..=(symbols * 30_usize).div_ceil(8) {
                let Some(text) = filler(octets, symbols).map(|filler| decode(&filler).unwrap()) else { continue };
                assert!(!text.iter().any(|octet| matches!(octet, 0 | b'\t' | b'\n' | b'\r' | b' ')), "{text:?}");
                // Most codes of 28 and all of 30 bits are control characters.
                let visible = |octet: &u8| matches!(octet, b'!'..=b'~' | 0x80..);
                assert!(octets * 8 > symbols * 28 || text.iter().all(visible), "{octets} octets: {text:?}");
                assert!(octets * 8 / symbols > 8 || text.first().is_none_or(u8::is_ascii_alphanumeric), "{text:?}");
            }
        }
    }

    #[test]
    fn huffman_padding_is_at_most_seven_one_bits() {
        assert_eq!(decode(&[]), Ok(vec![]));
        assert_eq!(decode(&[0b0000_0111]), Ok(b"0".to_vec()));
        assert_eq!(decode(&[0b0000_0110]), Err(HpackError::HuffmanPadding));
        assert_eq!(decode(&[0b0000_0111, 0xff]), Err(HpackError::HuffmanPadding));
        assert_eq!(decode(&[0xff]), Err(HpackError::HuffmanPadding));
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), Err(HpackError::HuffmanEos));
    }
}
