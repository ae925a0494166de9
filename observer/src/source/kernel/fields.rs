//! The table of kernel structure fields, resolved against the running kernel's BTF.

use observer_ebpf::abi::fields::{ABSENT, FIELDS, Field, pack_bits};

use super::btf::{Btf, Member};

/// A field with the value of its read-only global.
#[derive(Debug)]
pub(super) struct Resolved {
    /// The row of the table.
    pub(super) field: &'static Field,
    /// Value of the global; [`ABSENT`] if the field is not read.
    pub(super) value: u32,
}

impl Resolved {
    /// The field as the kernel's sources write it.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.field.container, self.field.path)
    }

    /// True if the running kernel does not have the field in the form that the programs read.
    pub(super) fn is_missing(&self) -> bool {
        self.value == ABSENT
    }
}

/// Looks every field up. One that is absent, or of another size, is left out: no offset is ever guessed.
pub(super) fn resolve(btf: &Btf) -> Vec<Resolved> {
    let value = |field: &Field| btf.member(field.container, field.path).ok().and_then(|m| encode(field, m));
    FIELDS.iter().map(|field| Resolved { field, value: value(field).unwrap_or(ABSENT) }).collect()
}

fn encode(field: &Field, member: Member) -> Option<u32> {
    let byte = member.bit_offset / 8;
    if field.size == 0 {
        let shift = member.bit_offset % 8;
        let one_byte = shift + member.bits <= 8 && byte <= 0xffff;
        return one_byte.then(|| pack_bits(byte, shift, member.bits));
    }
    let whole = !member.bitfield && member.bit_offset.is_multiple_of(8);
    (whole && member.bits == field.size * 8).then_some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: Field = Field { symbol: "X", group: "g", container: "s", path: "f", size: 4 };
    const BITS: Field = Field { size: 0, ..WORD };

    #[test]
    fn a_field_of_another_size_is_not_read() {
        assert_eq!(encode(&WORD, Member { bit_offset: 64, bits: 32, bitfield: false }), Some(8));
        assert_eq!(encode(&WORD, Member { bit_offset: 64, bits: 64, bitfield: false }), None);
        assert_eq!(encode(&WORD, Member { bit_offset: 64, bits: 32, bitfield: true }), None);
    }

    #[test]
    fn a_bit_field_fits_into_one_byte_or_is_not_read() {
        assert_eq!(encode(&BITS, Member { bit_offset: 19, bits: 5, bitfield: true }), Some(pack_bits(2, 3, 5)));
        assert_eq!(encode(&BITS, Member { bit_offset: 22, bits: 5, bitfield: true }), None);
    }
}
