//! Counts lines, words and bytes of files, and of all files under directories, where symbolic links are not followed: `wc [PATH...]`

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Default, Clone, Copy)]
struct Counts {
    lines: u64,
    words: u64,
    bytes: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.lines += other.lines;
        self.words += other.words;
        self.bytes += other.bytes;
    }
}

fn count(mut input: impl Read) -> io::Result<Counts> {
    let mut counts = Counts::default();
    let mut buffer = vec![0; 64 << 10];
    let mut in_word = false;
    loop {
        let n = input.read(&mut buffer)?;
        if n == 0 {
            return Ok(counts);
        }
        counts.bytes += n as u64;
        for &byte in &buffer[..n] {
            let space = matches!(byte, b' ' | b'\t'..=b'\r');
            counts.lines += u64::from(byte == b'\n');
            counts.words += u64::from(!space && !in_word);
            in_word = !space;
        }
    }
}

struct Wc {
    total: Counts,
    files: usize,
    failed: bool,
}

impl Wc {
    fn print(&self, c: Counts, name: &str) {
        println!("{:7} {:7} {:7}{name}", c.lines, c.words, c.bytes);
    }

    fn path(&mut self, path: &Path) {
        if let Err(e) = self.try_path(path) {
            eprintln!("wc: {}: {e}", path.display());
            self.failed = true;
        }
    }

    fn try_path(&mut self, path: &Path) -> io::Result<()> {
        if !fs::metadata(path)?.is_dir() {
            let counts = count(File::open(path)?)?;
            self.print(counts, &format!(" {}", path.display()));
            self.total += counts;
            self.files += 1;
            return Ok(());
        }
        let mut below: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if !entry.file_type()?.is_symlink() {
                below.push(entry.path());
            }
        }
        below.sort();
        for path in below {
            self.path(&path);
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let mut wc = Wc { total: Counts::default(), files: 0, failed: false };
    let mut paths = std::env::args_os().skip(1).peekable();
    if paths.peek().is_none() {
        match count(io::stdin()) {
            Ok(counts) => wc.print(counts, ""),
            Err(e) => {
                eprintln!("wc: {e}");
                wc.failed = true;
            }
        }
    }
    for path in paths {
        wc.path(Path::new(&path));
    }
    if wc.files > 1 {
        wc.print(wc.total, " total");
    }
    ExitCode::from(u8::from(wc.failed))
}
