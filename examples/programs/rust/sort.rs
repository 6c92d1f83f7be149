//! Sorts lines by their bytes.
//!
//!     sort FILE...     prints the lines of the files in order
//!     sort -n COUNT    makes COUNT records, sorts them and groups them, and prints a digest of each step

use std::collections::BTreeMap;
use std::{env, error::Error, fs};

fn print_sorted(paths: &[String]) -> Result<(), Box<dyn Error>> {
    let mut text = Vec::new();
    for path in paths {
        text.extend(fs::read(path).map_err(|e| format!("{path}: {e}"))?);
        if text.last().map_or(false, |&byte| byte != b'\n') {
            text.push(b'\n');
        }
    }
    let mut lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').map(|line| &line[..line.len() - 1]).collect();
    lines.sort();
    let mut sorted = Vec::with_capacity(text.len());
    for line in lines {
        sorted.extend_from_slice(line);
        sorted.push(b'\n');
    }
    std::io::Write::write_all(&mut std::io::stdout(), &sorted)?;
    Ok(())
}

/// FNV-1a
fn digest<'a>(texts: impl Iterator<Item = &'a str>) -> u64 {
    texts
        .flat_map(|text| text.bytes().chain([b'\n']))
        .fold(0xcbf29ce484222325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100000001b3))
}

fn made(count: u32) {
    const COLORS: [&str; 5] = ["amber", "blue", "crimson", "dun", "ecru"];
    let mut state = 1u32;
    let mut next = move || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        state >> 8
    };
    let mut records: Vec<String> = (0..count)
        .map(|n| format!("{}-{:06x}-{n}", COLORS[next() as usize % COLORS.len()], next()))
        .collect();
    records.sort();
    println!("{count} records, digest {:016x}", digest(records.iter().map(String::as_str)));

    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for record in &records {
        let mut parts = record.split('-');
        let (color, number) = (parts.next().unwrap(), parts.next().unwrap());
        groups.entry(format!("{}/{color}", &number[..2])).or_default().push(record);
    }
    let lines: Vec<String> = groups.iter().map(|(key, group)| format!("{key} {} {}", group.len(), group[0])).collect();
    println!("{} groups, digest {:016x}", groups.len(), digest(lines.iter().map(String::as_str)));
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.as_slice() {
        [] => Err("usage: sort FILE... | sort -n COUNT".into()),
        [flag, count] if flag == "-n" => Ok(made(count.parse()?)),
        paths => print_sorted(paths),
    }
}
