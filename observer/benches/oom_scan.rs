//! How fast a log without a report is searched: beside reading it, beside one text that is searched for with SIMD, and beside
//! `grep -c`, taking turns in one run on one file in the page cache.
//!
//! `cargo bench --package observer --bench oom_scan [-- --megabytes N --rounds N]`

use std::{
    error::Error,
    fs::File,
    io::{BufWriter, Read, Write},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use observer::source::oom_log::{Scanner, input};

/// What is asked of the search, in bytes a second.
const WANTED: f64 = 1e9;

/// Searches a file once and gives how many reports it found.
type Variant = fn(&Path) -> Result<usize, Box<dyn Error>>;

const VARIANTS: [(&str, Variant); 4] =
    [("read alone", read), ("one text (memmem)", memmem), ("grep -c", grep), ("observer", observer)];

fn main() -> Result<(), Box<dyn Error>> {
    let (megabytes, rounds) = (number("--megabytes", 1000)?, number("--rounds", 5)?);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("log");
    write(&path, megabytes * 1_000_000)?;
    let size = path.metadata()?.len() as f64;
    let mut best = [f64::INFINITY; VARIANTS.len()];
    // A first round reads the file into the page cache.
    for round in 0..=rounds {
        for ((name, variant), best) in VARIANTS.iter().zip(&mut best) {
            let begun = Instant::now();
            let found = variant(&path).map_err(|e| format!("{name}: {e}"))?;
            let seconds = begun.elapsed().as_secs_f64();
            if found != 0 {
                return Err(format!("{name} found {found} reports where none is").into());
            }
            if round > 0 {
                *best = best.min(seconds);
            }
        }
    }
    let own = best.last().copied().unwrap_or(f64::INFINITY);
    println!("{:<20} {:>8} {:>12}", "", "GB/s", "of observer");
    for ((name, _), seconds) in VARIANTS.iter().zip(best) {
        println!("{name:<20} {:>8.2} {:>11.2}x", size / seconds / 1e9, own / seconds);
    }
    if size / own < WANTED {
        return Err(format!("less than {} GB/s", WANTED / 1e9).into());
    }
    Ok(())
}

fn number(name: &str, default: u64) -> Result<u64, Box<dyn Error>> {
    let mut args = std::env::args().skip_while(|arg| arg != name);
    match args.nth(1) {
        Some(value) => Ok(value.parse().map_err(|e| format!("{name} {value}: {e}"))?),
        None => Ok(default),
    }
}

/// Lines as they stand in a kernel log, each another.
fn write(path: &Path, size: u64) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut written = 0;
    let mut n = 0u64;
    while written < size {
        let line = format!(
            "Nov 20 10:{:02}:{:02} web-{} kernel: [{:>12}.{:06}] eth0: link is up at {} Mbit/s, memory of queue {n} killed and made anew\n",
            n / 60 % 60,
            n % 60,
            n % 7,
            n / 100,
            n * 7919 % 1_000_000,
            n % 10_000,
        );
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
        n += 1;
    }
    Ok(out.flush()?)
}

fn chunks(path: &Path, mut each: impl FnMut(&[u8])) -> Result<(), Box<dyn Error>> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        each(buffer.get(..n).unwrap_or_default());
    }
}

fn read(path: &Path) -> Result<usize, Box<dyn Error>> {
    chunks(path, |chunk| {
        std::hint::black_box(chunk);
    })?;
    Ok(0)
}

fn memmem(path: &Path) -> Result<usize, Box<dyn Error>> {
    let text = memchr::memmem::Finder::new("invoked oom-killer:");
    let mut found = 0;
    chunks(path, |chunk| found += text.find_iter(chunk).count())?;
    Ok(found)
}

fn grep(path: &Path) -> Result<usize, Box<dyn Error>> {
    let mut command = Command::new("grep");
    command.env("LC_ALL", "C").args(["-c", "invoked oom-killer:"]).arg(path).stdin(Stdio::null());
    let output = command.output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn observer(path: &Path) -> Result<usize, Box<dyn Error>> {
    let log = input::open(path)?;
    Ok(Scanner::new(log.bytes, log.name)?.collect::<Result<Vec<_>, _>>()?.len())
}
