use super::*;

/// Builds a small blob: strings and types, as the kernel would lay them out.
#[derive(Default)]
struct Builder {
    strings: Vec<u8>,
    types: Vec<u8>,
}

impl Builder {
    fn name(&mut self, name: &str) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        if name.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(name.bytes().chain([0]));
        at
    }

    fn add(&mut self, name: &str, kind: u32, len: u32, flag: bool, size_or_type: u32, extra: &[u32]) {
        let name = self.name(name);
        let words = [name, kind << 24 | len | u32::from(flag) << 31, size_or_type];
        self.types.extend(words.iter().chain(extra).flat_map(|w| w.to_ne_bytes()));
    }

    fn blob(self) -> Vec<u8> {
        let mut blob = Vec::new();
        blob.extend(MAGIC.to_ne_bytes());
        blob.extend([1, 0]);
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        blob.extend([24, 0, types, types, strings].iter().flat_map(|w: &u32| w.to_ne_bytes()));
        blob.extend(self.types);
        blob.extend(self.strings);
        blob
    }
}

/// struct outer { u32 a; struct { u16 b; u8 low:3, high:5; }; u32 list[5]; } and what a tracepoint needs.
fn sample() -> Btf {
    let mut b = Builder::default();
    b.add("u32", INT, 0, false, 4, &[32]); // 1
    b.add("u16", INT, 0, false, 2, &[16]); // 2
    b.add("u8", INT, 0, false, 1, &[8]); // 3
    b.add("", ARRAY, 0, false, 0, &[1, 1, 5]); // 4
    let (low, high, short) = (b.name("low"), b.name("high"), b.name("b"));
    let members = [short, 2, 0, low, 3, 3 << 24 | 16, high, 3, 5 << 24 | 19];
    b.add("", STRUCT, 3, true, 4, &members); // 5
    let (a, list) = (b.name("a"), b.name("list"));
    b.add("outer", STRUCT, 3, false, 28, &[a, 1, 0, 0, 5, 32, list, 4, 64]); // 6
    b.add("", CONST, 0, false, 6, &[]); // 7
    b.add("", PTR, 0, false, 7, &[]); // 8
    b.add("", PTR, 0, false, 0, &[]); // 9
    b.add("", FUNC_PROTO, 3, false, 0, &[0, 9, 0, 8, 0, 1]); // 10
    b.add("", PTR, 0, false, 10, &[]); // 11
    b.add("btf_trace_event", TYPEDEF, 0, false, 11, &[]); // 12
    let (first, second) = (b.name("FIRST"), b.name("SECOND"));
    b.add("ids", ENUM, 2, false, 4, &[first, 0, second, 3]); // 13
    Btf::parse(b.blob()).unwrap()
}

fn at(bit_offset: u32, bits: u32, bitfield: bool) -> Result<Member, BtfError> {
    Ok(Member { bit_offset, bits, bitfield })
}

#[test]
fn members_are_found_through_unnamed_structures() {
    let btf = sample();
    assert_eq!(btf.member("outer", "a"), at(0, 32, false));
    assert_eq!(btf.member("outer", "b"), at(32, 16, false));
    assert_eq!(btf.member("outer", "low"), at(48, 3, true));
    assert_eq!(btf.member("outer", "high"), at(51, 5, true));
}

#[test]
fn arrays_are_indexed_by_number_and_by_enumerator() {
    let btf = sample();
    assert_eq!(btf.member("outer", "list[1]"), at(96, 32, false));
    assert_eq!(btf.member("outer", "list[ids::SECOND]"), at(160, 32, false));
    assert_eq!(btf.member("outer", "list[5]"), Err(BtfError::Absent("outer.list[5]".to_owned())));
    assert!(btf.member("outer", "list[ids::THIRD]").is_err());
}

#[test]
fn what_is_absent_is_an_error_that_names_it() {
    let btf = sample();
    assert_eq!(btf.member("outer", "c"), Err(BtfError::Absent("outer.c".to_owned())));
    assert_eq!(btf.member("inner", "c"), Err(BtfError::Absent("type inner".to_owned())));
    assert!(!btf.has_struct("inner") && btf.has_struct("outer"));
}

#[test]
fn a_tracepoint_tells_its_arguments() {
    let btf = sample();
    assert_eq!(btf.tracepoint_args("event"), Ok(vec![Arg::Pointer("outer".to_owned()), Arg::Int]));
    assert!(btf.tracepoint_args("other").is_err());
}

#[test]
fn a_blob_that_is_cut_off_is_an_error() {
    let whole = sample().blob().to_vec();
    for len in 0..whole.len() {
        assert!(Btf::parse(whole[..len].to_vec()).is_err(), "{len} bytes were taken for whole");
    }
}

#[test]
fn the_running_kernel_is_understood() {
    let path = Path::new("/sys/kernel/btf/vmlinux");
    if !path.exists() {
        eprintln!("skipped: {} does not exist here", path.display());
        return;
    }
    let btf = Btf::read(path).unwrap();
    let tgid = btf.member("task_struct", "tgid").unwrap();
    assert_eq!((tgid.bits, tgid.bitfield), (32, false));
    let args = btf.tracepoint_args("mm_page_alloc").unwrap();
    assert_eq!(args.first(), Some(&Arg::Pointer("page".to_owned())));
}
