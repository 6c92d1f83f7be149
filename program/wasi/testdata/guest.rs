// An ordinary program in Rust: what it prints is the same on every host.
use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant, SystemTime};

fn said<T>(what: &str, r: io::Result<T>) {
    match r {
        Ok(_) => println!("{what}: ok"),
        Err(e) => println!("{what}: {:?}", e.kind()),
    }
}

fn main() -> io::Result<()> {
    for (i, a) in std::env::args().enumerate() {
        println!("argument {i}: {a}");
    }
    println!("{:?} {:?}", std::env::var("LANG"), std::env::var("NONE"));
    for line in io::stdin().lock().lines() {
        println!("read {}", line?.len());
    }
    said("mkdir", fs::create_dir_all("/a/b"));
    said("mkdir again", fs::create_dir("/a"));
    said("write", fs::write("/a/file", "hello\n".repeat(3000)));
    let mut f = fs::OpenOptions::new().read(true).write(true).open("/a/file")?;
    f.seek(SeekFrom::End(-3))?;
    let mut tail = String::new();
    f.read_to_string(&mut tail)?;
    println!("{tail:?}");
    f.write_all(b"more")?;
    said("length", f.set_len(10));
    said("sync", f.sync_all());
    println!("{} {}", f.metadata()?.len(), f.metadata()?.is_file());
    drop(f);
    said("rename", fs::rename("/a/file", "/a/b/renamed"));
    said("link", fs::hard_link("/a/b/renamed", "/hard"));
    println!("{:?}", fs::read_to_string("/hard"));
    for i in 0..50 {
        fs::write(format!("/a/{i:03}"), [0u8; 7])?;
    }
    let mut names: Vec<_> = fs::read_dir("/a")?.map(|e| e.map(|e| (e.file_name(), e.file_type().unwrap().is_dir()))).collect::<Result<_, _>>()?;
    names.sort();
    println!("{names:?}");
    said("none", fs::File::open("/none"));
    said("remove", fs::remove_dir("/a"));
    said("remove all", fs::remove_dir_all("/a"));
    said("gone", fs::metadata("/a"));
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(5));
    println!("slept {}", start.elapsed() >= Duration::from_millis(5));
    println!("time {}", SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() > 1_700_000_000);
    let mut seen: HashMap<String, usize> = HashMap::new(); // wants random bytes
    for w in "to be or not to be".split(' ') {
        *seen.entry(w.to_string()).or_default() += 1;
    }
    println!("{} {}", seen["to"], seen.len());
    eprintln!("to the error stream");
    std::process::exit(7)
}
