//! A walker over the running kernel's type information (BTF): where a field lies, what a tracepoint passes.
//!
//! It reads the blob in place and parses only what is asked for. Format: Documentation/bpf/btf.rst.

use std::{collections::HashMap, path::Path};

/// What went wrong with BTF.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BtfError {
    /// The file could not be read.
    #[error("cannot read {path}: {reason}")]
    Read {
        /// The file.
        path: String,
        /// The system's reason.
        reason: String,
    },
    /// The blob is no BTF of this machine's byte order, or it is cut off.
    #[error("the kernel's BTF is malformed: {0}")]
    Malformed(&'static str),
    /// The running kernel does not have it.
    #[error("the kernel has no {0}")]
    Absent(String),
    /// The running kernel has it in a form that is not read.
    #[error("{0}")]
    Shape(String),
}

/// Where a member lies in its outermost structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Bits from the begin.
    pub bit_offset: u32,
    /// Length in bits, of a bit field the field's own.
    pub bits: u32,
    /// True for a bit field.
    pub bitfield: bool,
}

/// What a tracepoint passes in one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// An integer, an enumerator or a flag.
    Int,
    /// A pointer to the named structure, or to something without a name.
    Pointer(String),
}

const MAGIC: u16 = 0xeb9f;
const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FWD: u32 = 7;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const FLOAT: u32 = 16;
const DECL_TAG: u32 = 17;
const TYPE_TAG: u32 = 18;
const ENUM64: u32 = 19;

/// Deepest nesting that is followed; the kernel's own structures stay far below.
const MAX_DEPTH: u32 = 32;

/// The kernel's type information.
#[derive(Debug)]
pub struct Btf {
    blob: Vec<u8>,
    strings: usize,
    /// Position of each type in the blob; index 0 is `void`.
    types: Vec<u32>,
    /// Types that are looked up by name: structures, unions, enumerations, typedefs of tracepoints.
    named: HashMap<Box<[u8]>, Vec<u32>>,
}

#[derive(Clone, Copy)]
struct Type {
    at: usize,
    name: u32,
    kind: u32,
    len: u32,
    flag: bool,
    size_or_type: u32,
}

impl Btf {
    /// Reads the running kernel's BTF, or another one for tests.
    pub fn read(path: &Path) -> Result<Self, BtfError> {
        let blob = std::fs::read(path)
            .map_err(|e| BtfError::Read { path: path.display().to_string(), reason: e.to_string() })?;
        Self::parse(blob)
    }

    /// Takes a blob.
    pub fn parse(blob: Vec<u8>) -> Result<Self, BtfError> {
        let cut = BtfError::Malformed("it is cut off");
        if blob.first_chunk().copied().map(u16::from_ne_bytes) != Some(MAGIC) {
            return Err(BtfError::Malformed("wrong magic"));
        }
        let word = |at: usize| word(&blob, at).map(|w| w as usize);
        let header = word(4).ok_or(cut)?;
        let (Some(types_at), Some(types_len), Some(strings_at), Some(strings_len)) =
            (word(8), word(12), word(16), word(20))
        else {
            return Err(BtfError::Malformed("short header"));
        };
        let (begin, strings) = (header + types_at, header + strings_at);
        let end = begin + types_len;
        if blob.len() < end || blob.len() < strings + strings_len {
            return Err(BtfError::Malformed("it is cut off"));
        }
        let mut btf = Self { blob, strings, types: vec![0], named: HashMap::new() };
        let mut at = begin;
        while at < end {
            let t = btf.type_at(at).ok_or(BtfError::Malformed("a type is cut off"))?;
            let extra = extra_bytes(t.kind, t.len).ok_or(BtfError::Malformed("unknown kind"))?;
            let id = btf.types.len() as u32;
            let named = matches!(t.kind, STRUCT | UNION | ENUM | ENUM64) && t.name != 0
                || t.kind == TYPEDEF && btf.str_bytes(t.name).starts_with(b"btf_trace_");
            if named {
                let name = btf.str_bytes(t.name).into();
                btf.named.entry(name).or_default().push(id);
            }
            btf.types.push(at as u32);
            at += 12 + extra;
        }
        Ok(btf)
    }

    /// Bytes of the blob, for another parser.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// True if the kernel has this structure or union.
    pub fn has_struct(&self, name: &str) -> bool {
        self.find(name, &[STRUCT, UNION]).is_ok()
    }

    /// Finds a member: `.` goes into members, unnamed ones are looked through, `[2]` and `[some_enum::ENUMERATOR]`
    /// take an element of an array.
    pub fn member(&self, container: &str, path: &str) -> Result<Member, BtfError> {
        let mut ty = self.find(container, &[STRUCT, UNION])?;
        let mut found = Member { bit_offset: 0, bits: 0, bitfield: false };
        for step in path.split('.') {
            let (name, index) = match step.split_once('[') {
                Some((name, rest)) => (name, Some(rest.trim_end_matches(']'))),
                None => (step, None),
            };
            let (member, member_ty) =
                self.member_of(ty, name, 0).ok_or_else(|| BtfError::Absent(format!("{container}.{path}")))?;
            found = Member { bit_offset: found.bit_offset + member.bit_offset, ..member };
            ty = self.strip(member_ty);
            if let Some(index) = index {
                let index = self.index(index)?;
                let array = ty;
                if array.kind != ARRAY {
                    return Err(BtfError::Shape(format!("{container}.{path} is no array")));
                }
                let cut = BtfError::Malformed("an array is cut off");
                let element = word(&self.blob, array.at + 12).ok_or(cut)?;
                let length = word(&self.blob, array.at + 20).unwrap_or(0);
                if index >= length {
                    return Err(BtfError::Absent(format!("{container}.{path}")));
                }
                ty = self.strip(element);
                let bits = self.size(element, 0).unwrap_or(0) * 8;
                found = Member { bit_offset: found.bit_offset + index * bits, bits, bitfield: false };
            }
        }
        Ok(found)
    }

    /// Value of an enumerator.
    pub fn enumerator(&self, container: &str, name: &str) -> Result<u32, BtfError> {
        let ty = self.find(container, &[ENUM, ENUM64])?;
        let stride = if ty.kind == ENUM { 8 } else { 12 };
        (0..ty.len as usize)
            .map(|i| ty.at + 12 + i * stride)
            .find(|at| word(&self.blob, *at).is_some_and(|n| self.str_bytes(n) == name.as_bytes()))
            .and_then(|at| word(&self.blob, at + 4))
            .ok_or_else(|| BtfError::Absent(format!("{container}::{name}")))
    }

    /// Every enumerator with its value, in the order of the kernel's source. Empty if the kernel has no such enumeration.
    pub fn enumerators(&self, container: &str) -> Vec<(&str, u32)> {
        self.find(container, &[ENUM, ENUM64]).map_or_else(|_| Vec::new(), |ty| self.enumerators_of(ty))
    }

    fn enumerators_of(&self, ty: Type) -> Vec<(&str, u32)> {
        let stride = if ty.kind == ENUM { 8 } else { 12 };
        let name = |at| word(&self.blob, at).and_then(|n| std::str::from_utf8(self.str_bytes(n)).ok());
        let each = (0..ty.len as usize).map(|i| ty.at + 12 + i * stride);
        each.filter_map(|at| Some((name(at)?, word(&self.blob, at + 4)?))).collect()
    }

    /// Enumerators of the enumeration without a name whose first one begins with `prefix`. Empty if the kernel has none.
    pub fn enumerators_beginning(&self, prefix: &str) -> Vec<(&str, u32)> {
        let types = self.types.iter().skip(1).filter_map(|at| self.type_at(*at as usize));
        let mut nameless = types.filter(|ty| ty.kind == ENUM && ty.name == 0);
        let begins = |ty: &Type| {
            let first = word(&self.blob, ty.at + 12).map(|name| self.str_bytes(name));
            first.is_some_and(|name| name.starts_with(prefix.as_bytes()))
        };
        nameless.find(begins).map_or_else(Vec::new, |ty| self.enumerators_of(ty))
    }

    /// Arguments of a raw tracepoint, without the leading private pointer. Source: typedef `btf_trace_NAME`.
    pub fn tracepoint_args(&self, name: &str) -> Result<Vec<Arg>, BtfError> {
        let typedef = self
            .find(&format!("btf_trace_{name}"), &[TYPEDEF])
            .map_err(|_| BtfError::Absent(format!("tracepoint {name} in its BTF")))?;
        let pointer = self.strip(typedef.size_or_type);
        let proto = self.strip(pointer.size_or_type);
        if pointer.kind != PTR || proto.kind != FUNC_PROTO {
            return Err(BtfError::Shape(format!("tracepoint {name} is no function")));
        }
        let arg = |i: u32| self.arg(word(&self.blob, proto.at + 12 + i as usize * 8 + 4).unwrap_or(0));
        Ok((1..proto.len).map(arg).collect())
    }

    /// Id of the type of a tracepoint, by which the kernel is told what a program attaches to.
    pub fn tracepoint_id(&self, name: &str) -> Result<u32, BtfError> {
        self.id_of(TYPEDEF, &format!("btf_trace_{name}"))
    }

    /// Id of a kernel function, by which the kernel is told what a program attaches to.
    pub fn function_id(&self, name: &str) -> Result<u32, BtfError> {
        self.id_of(FUNC, name)
    }

    fn id_of(&self, kind: u32, name: &str) -> Result<u32, BtfError> {
        let has_name = |ty: &Type| ty.kind == kind && self.str_bytes(ty.name) == name.as_bytes();
        let ids = 1..u32::try_from(self.types.len()).unwrap_or(u32::MAX);
        ids.into_iter()
            .find(|id| has_name(&self.get(*id)))
            .ok_or_else(|| BtfError::Absent(format!("type {name} in its BTF")))
    }

    fn arg(&self, id: u32) -> Arg {
        let ty = self.strip(id);
        if ty.kind != PTR {
            return Arg::Int;
        }
        let target = self.strip(ty.size_or_type);
        Arg::Pointer(String::from_utf8_lossy(self.str_bytes(target.name)).into_owned())
    }

    fn index(&self, text: &str) -> Result<u32, BtfError> {
        match text.split_once("::") {
            Some((container, name)) => self.enumerator(container, name),
            None => text.parse().map_err(|_| BtfError::Absent(format!("index {text}"))),
        }
    }

    fn find(&self, name: &str, kinds: &[u32]) -> Result<Type, BtfError> {
        let ids = self.named.get(name.as_bytes()).map(Vec::as_slice).unwrap_or_default();
        ids.iter()
            .map(|id| self.get(*id))
            .find(|t| kinds.contains(&t.kind))
            .ok_or_else(|| BtfError::Absent(format!("type {name}")))
    }

    /// A member by name, with its type; looks through unnamed structures and unions.
    fn member_of(&self, ty: Type, name: &str, depth: u32) -> Option<(Member, u32)> {
        if !matches!(ty.kind, STRUCT | UNION) || depth > MAX_DEPTH {
            return None;
        }
        for i in 0..ty.len as usize {
            let at = ty.at + 12 + i * 12;
            let (member_name, id, raw) = (word(&self.blob, at)?, word(&self.blob, at + 4)?, word(&self.blob, at + 8)?);
            // With the flag, the upper 8 bits are the length of a bit field.
            let (bit_offset, width) = if ty.flag { (raw & 0xff_ffff, raw >> 24) } else { (raw, 0) };
            if self.str_bytes(member_name) == name.as_bytes() {
                let bits = self.size(id, 0).unwrap_or(0) * 8;
                let old_width = self.int_width(id).filter(|w| *w < bits);
                let width = if width > 0 { Some(width) } else { old_width };
                return Some((Member { bit_offset, bits: width.unwrap_or(bits), bitfield: width.is_some() }, id));
            }
            if member_name == 0
                && let Some((inner, id)) = self.member_of(self.strip(id), name, depth + 1)
            {
                return Some((Member { bit_offset: bit_offset + inner.bit_offset, ..inner }, id));
            }
        }
        None
    }

    /// Bits of an integer type: old compilers gave a bit field a narrow integer type of its own.
    fn int_width(&self, id: u32) -> Option<u32> {
        let ty = self.strip(id);
        (ty.kind == INT).then(|| word(&self.blob, ty.at + 12).map(|w| w & 0xff)).flatten()
    }

    fn size(&self, id: u32, depth: u32) -> Option<u32> {
        let ty = self.strip(id);
        match ty.kind {
            _ if depth > MAX_DEPTH => None,
            INT | STRUCT | UNION | ENUM | FLOAT | ENUM64 | DATASEC => Some(ty.size_or_type),
            PTR => Some(size_of::<usize>() as u32),
            ARRAY => {
                let element = self.size(word(&self.blob, ty.at + 12)?, depth + 1)?;
                element.checked_mul(word(&self.blob, ty.at + 20)?)
            }
            _ => None,
        }
    }

    /// Looks through typedefs, qualifiers and tags.
    fn strip(&self, id: u32) -> Type {
        let mut ty = self.get(id);
        for _ in 0..MAX_DEPTH {
            if !matches!(ty.kind, TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG) {
                break;
            }
            ty = self.get(ty.size_or_type);
        }
        ty
    }

    /// A type by number; an unknown number gives `void`.
    fn get(&self, id: u32) -> Type {
        let at = self.types.get(id as usize).copied().filter(|at| *at > 0);
        at.and_then(|at| self.type_at(at as usize)).unwrap_or(Type {
            at: 0,
            name: 0,
            kind: 0,
            len: 0,
            flag: false,
            size_or_type: 0,
        })
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        // All three words at once: every type of the kernel passes here.
        let [n0, n1, n2, n3, i0, i1, i2, i3, s0, s1, s2, s3] = *self.blob.get(at..)?.first_chunk()?;
        let info = u32::from_ne_bytes([i0, i1, i2, i3]);
        Some(Type {
            at,
            name: u32::from_ne_bytes([n0, n1, n2, n3]),
            kind: info >> 24 & 0x1f,
            len: info & 0xffff,
            flag: info >> 31 != 0,
            size_or_type: u32::from_ne_bytes([s0, s1, s2, s3]),
        })
    }

    fn str_bytes(&self, offset: u32) -> &[u8] {
        let rest = self.blob.get(self.strings + offset as usize..).unwrap_or_default();
        rest.split(|b| *b == 0).next().unwrap_or_default()
    }
}

fn word(blob: &[u8], at: usize) -> Option<u32> {
    blob.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes)
}

/// Bytes that follow the common part of a type.
fn extra_bytes(kind: u32, len: u32) -> Option<usize> {
    let len = len as usize;
    Some(match kind {
        INT | VAR | DECL_TAG => 4,
        ARRAY => 12,
        STRUCT | UNION | DATASEC | ENUM64 => len * 12,
        ENUM | FUNC_PROTO => len * 8,
        PTR | FWD | TYPEDEF | VOLATILE | CONST | RESTRICT | FUNC | FLOAT | TYPE_TAG => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
