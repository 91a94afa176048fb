//! The PROXY protocol, with which a proxy tells the server its client's address before anything else
//! (proxy-protocol.txt of HAProxy).
//!
//! ```text
//! version 1 → "PROXY " family [SP source SP destination SP source port SP destination port] CRLF
//! version 2 → signature(96) version(4) command(4) family(4) protocol(4) length(16) addresses (type(8) length(16) value)*
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::http1::{LONGEST_HEAD, Scan};
use crate::inspector::model::annotation::{Annotation, Document, Layer, Rule};
use crate::inspector::model::text::{self, Text};
use crate::inspector::model::tree::Tree;

const FIRST: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1 (section 2.1), and the fixed part of version 2 (section 2.2).
const LONGEST_LINE: usize = 107;
const FIXED: usize = 16;

const VERSION_1: &Rule = &Rule::new(Document::ProxyProtocol, "2.1");
const VERSION_2: &Rule = &Rule::new(Document::ProxyProtocol, "2.2");

/// Searches for the end of a header of either version.
pub(super) fn header(bytes: &[u8]) -> Scan {
    if bytes.starts_with(FIRST) {
        let line = bytes.get(..LONGEST_LINE.min(bytes.len())).unwrap_or_default();
        return match line.windows(2).position(|pair| pair == b"\r\n") {
            Some(end) => Scan::Until(end + 2),
            None if bytes.len() < LONGEST_LINE => Scan::More,
            None => Scan::Other,
        };
    }
    if let Some(fixed) = bytes.first_chunk::<FIXED>().filter(|fixed| fixed.starts_with(SIGNATURE)) {
        let [.., version, _, high, low] = *fixed;
        let end = FIXED + usize::from(u16::from_be_bytes([high, low]));
        return match (version >> 4, end <= LONGEST_HEAD, end <= bytes.len()) {
            (2, true, true) => Scan::Until(end),
            (2, true, false) => Scan::More,
            _ => Scan::Other,
        };
    }
    let begins = FIRST.starts_with(bytes) || SIGNATURE.starts_with(bytes);
    if begins || (bytes.starts_with(SIGNATURE) && bytes.len() < FIXED) { Scan::More } else { Scan::Other }
}

/// Returns the annotations of a whole header.
pub(super) fn annotate(bytes: &[u8]) -> Tree {
    if bytes.starts_with(SIGNATURE) { version_2(bytes) } else { version_1(bytes) }
}

/// Each word with the space after it is a leaf.
fn version_1(bytes: &[u8]) -> Tree {
    const LABELS: [&str; 6] = ["signature", "family", "source", "destination", "source port", "destination port"];
    let mut tree = Tree::default();
    let end = bytes.len().saturating_sub(2);
    let mut at = 0;
    let known = !bytes.starts_with(b"PROXY UNKNOWN");
    for label in LABELS {
        let rest = bytes.get(at..end).unwrap_or_default();
        let word = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        let whole = at..(at + word + 1).min(end);
        let value = text::plain(rest.get(..word).unwrap_or_default());
        let broken = match label {
            "family" => known && value != "TCP4" && value != "TCP6",
            "source" | "destination" => known && value.parse::<IpAddr>().is_err(),
            "source port" | "destination port" => known && value.parse::<u16>().is_err(),
            _ => false,
        };
        at = whole.end;
        let fault = broken.then(|| format!("invalid {label}: \"{value}\""));
        tree.push(Annotation::new(whole, Layer::Before, label).value(value).rule(VERSION_1).fault(fault));
    }
    tree.push(Annotation::new(at..end, Layer::Before, "rest").rule(VERSION_1));
    tree.push(Annotation::new(end..bytes.len(), Layer::Before, "line break").rule(VERSION_1));
    tree
}

fn version_2(bytes: &[u8]) -> Tree {
    let mut tree = Tree::default();
    let mut leaf = |range: Range<usize>, label: &'static str, value: Text, fault: Option<&'static str>| {
        tree.push(Annotation::new(range, Layer::Before, label).value(value).rule(VERSION_2).fault(fault));
    };
    let [command, family] = [12, 13].map(|at| bytes.get(at).copied().unwrap_or_default());
    let name = match command & 0xf {
        0 => Ok("LOCAL"),
        1 => Ok("PROXY"),
        _ => Err("unknown command"),
    };
    let (transport, addresses) = match family {
        0x00 => (Ok("UNSPEC"), 0),
        0x11 => (Ok("TCP over IPv4"), 12),
        0x12 => (Ok("UDP over IPv4"), 12),
        0x21 => (Ok("TCP over IPv6"), 36),
        0x22 => (Ok("UDP over IPv6"), 36),
        0x31 => (Ok("UNIX stream"), 216),
        0x32 => (Ok("UNIX datagram"), 216),
        _ => (Err("unknown family or protocol"), 0),
    };
    leaf(0..12, "signature", "PROXY protocol".into(), None);
    leaf(12..13, "command", name.unwrap_or("unknown").into(), name.err());
    leaf(13..14, "family", transport.unwrap_or("unknown").into(), transport.err());
    leaf(14..16, "length", Text::bytes(bytes.len().saturating_sub(FIXED) as u64), None);
    let end = FIXED + addresses;
    if addresses == 0 || end > bytes.len() {
        let fault = (addresses > 0).then_some("too short for its addresses");
        let rest = bytes.get(FIXED..).unwrap_or_default();
        // LOCAL and UNSPEC may have anything here, which receivers skip.
        leaf(FIXED..bytes.len(), "addresses", text::plain(rest).into(), fault);
        return tree;
    }
    let place = |at: usize, length: usize| bytes.get(at..at + length).unwrap_or_default();
    let size = if addresses == 216 { 108 } else { addresses / 2 - 2 };
    for (at, label) in [(FIXED, "source"), (FIXED + size, "destination")] {
        leaf(at..at + size, label, address(place(at, size)).into(), None);
    }
    if addresses < 216 {
        for (at, label) in [(end - 4, "source port"), (end - 2, "destination port")] {
            let port = place(at, 2).iter().fold(0, |port, byte| port << 8 | u64::from(*byte));
            leaf(at..at + 2, label, Text::number(port), None);
        }
    }
    extensions(bytes, end, &mut tree);
    tree
}

/// Adds the TLVs (section 2.2.1 onwards).
fn extensions(bytes: &[u8], mut at: usize, tree: &mut Tree) {
    while let Some([kind, high, low]) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let end = at + 3 + usize::from(u16::from_be_bytes([*high, *low]));
        let Some(value) = bytes.get(at + 3..end) else { break };
        let name = match kind {
            0x01 => "ALPN",
            0x02 => "AUTHORITY",
            0x03 => "CRC32C",
            0x04 => "NOOP",
            0x05 => "UNIQUE_ID",
            0x20 => "SSL",
            0x30 => "NETNS",
            _ => "extension",
        };
        let binary = matches!(kind, 0x03 | 0x20);
        let shown: String = match binary {
            true => value.iter().take(64).map(|byte| format!("{byte:02x}")).collect(),
            false => text::plain(value),
        };
        let node = Annotation::new(at..end, Layer::Before, name).value(shown).rule(VERSION_2);
        let open = tree.open(node.detail(Text::number((*kind).into())));
        tree.push(Annotation::new(at..at + 1, Layer::Before, "type").rule(VERSION_2));
        tree.push(Annotation::new(at + 1..at + 3, Layer::Before, "length").rule(VERSION_2).number());
        tree.push(Annotation::new(at + 3..end, Layer::Before, "value").rule(VERSION_2));
        tree.close(open);
        at = end;
    }
    let rest = Annotation::new(at..bytes.len(), Layer::Before, "rest").rule(VERSION_2);
    tree.push(rest.fault(Some("not an extension")));
}

fn address(bytes: &[u8]) -> String {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Ipv4Addr::from(octets).to_string();
    }
    if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
        return Ipv6Addr::from(octets).to_string();
    }
    let path = bytes.iter().position(|byte| *byte == 0).and_then(|end| bytes.get(..end)).unwrap_or(bytes);
    text::plain(path)
}
