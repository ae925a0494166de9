//! Names that somebody else chose: processes, cgroups, interfaces, files.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name chosen outside observer, escaped so that any output may print it.
///
/// The escape is made once, where the name is read, and loses nothing: a backslash becomes `\\`, a control character
/// `\n`, `\t`, `\r` or `\xNN`, a byte that is no UTF-8 `\xNN`, and a character that changes what a terminal or a page
/// shows without being seen (bidirectional marks, zero-width characters, separators) `\u{NNNN}`. What remains is printable;
/// an output still quotes for its own syntax, for example `"` in a metric label.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Escapes the bytes of a name as the kernel gave them.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut out = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            chunk
                .valid()
                .chars()
                .for_each(|c| if c == '\\' { out.push_str("\\\\") } else { push_visible(&mut out, c) });
            chunk.invalid().iter().for_each(|b| push_byte(&mut out, *b));
        }
        Self(out)
    }

    /// Escapes a fixed-size C string: the bytes before the first NUL.
    pub fn from_c_bytes(bytes: &[u8]) -> Self {
        Self::from_bytes(bytes.split(|b| *b == 0).next().unwrap_or_default())
    }

    /// The escaped text: printable, safe for a terminal.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if there is no name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes as the kernel gave them, for a path that has to be opened again.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len());
        let mut rest = self.0.as_str();
        while let Some(at) = rest.find('\\') {
            let (before, escaped) = rest.split_at(at);
            out.extend_from_slice(before.as_bytes());
            rest = take_escape(escaped, &mut out);
        }
        out.extend_from_slice(rest.as_bytes());
        out
    }
}

/// Undoes the escape that `text` starts with; what is no escape stays as it is.
fn take_escape<'a>(text: &'a str, out: &mut Vec<u8>) -> &'a str {
    let simple = [("\\\\", b'\\'), ("\\n", b'\n'), ("\\t", b'\t'), ("\\r", b'\r')];
    if let Some((escape, byte)) = simple.iter().find(|(escape, _)| text.starts_with(escape)) {
        out.push(*byte);
        return text.get(escape.len()..).unwrap_or_default();
    }
    if let Some(byte) = text.get(2..4).filter(|_| text.starts_with("\\x")).and_then(|h| u8::from_str_radix(h, 16).ok())
    {
        out.push(byte);
        return text.get(4..).unwrap_or_default();
    }
    if let Some((hex, rest)) = text.strip_prefix("\\u{").and_then(|t| t.split_once('}'))
        && let Some(c) = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)
    {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        return rest;
    }
    out.push(b'\\');
    text.get(1..).unwrap_or_default()
}

fn push_byte(out: &mut String, byte: u8) {
    out.push_str(&format!("\\x{byte:02x}"));
}

fn push_visible(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        '\0'..='\x1f' | '\x7f' => push_byte(out, c as u8),
        _ if is_deceptive(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
        _ => out.push(c),
    }
}

/// Characters that are not seen themselves but change what is: C1 controls, zero-width, bidirectional and separator
/// characters, tags, private use and variation selectors (Unicode categories Cc, Cf, Zl, Zp, Co as far as they matter here).
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}' | '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}'
        | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}' | '\u{3000}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
}

/// From text that may have been written by hand, such as a recording: what is not printable is escaped, a backslash is
/// taken to be an escape already.
impl From<String> for Name {
    fn from(text: String) -> Self {
        let mut out = String::with_capacity(text.len());
        text.chars().for_each(|c| push_visible(&mut out, c));
        Self(out)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_names_become_visible() {
        let name = Name::from_bytes(b"a\x1b[31m\n\"\\\xff\xe2\x80\xae");
        assert_eq!(name.as_str(), "a\\x1b[31m\\n\"\\\\\\xff\\u{202e}");
    }

    #[test]
    fn c_strings_end_at_the_first_nul() {
        assert_eq!(Name::from_c_bytes(b"kswapd0\0\0garbage").as_str(), "kswapd0");
    }

    proptest! {
        #[test]
        fn nothing_is_lost(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(Name::from_bytes(&bytes).to_bytes(), bytes);
        }

        #[test]
        fn what_is_shown_is_printable(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(Name::from_bytes(&bytes).as_str().chars().all(|c| !c.is_control()));
        }

        #[test]
        fn a_recording_gives_the_name_back(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let name = Name::from_bytes(&bytes);
            prop_assert_eq!(Name::from(name.as_str()), name);
        }
    }
}
