//! Greets, tells the time, asks for a name, writes a file and reads it back.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

const PATH: &str = "/hello.txt";

fn main() -> Result<(), Box<dyn Error>> {
    println!("Hello from Rust!");
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    println!("It is {:.3} seconds past 1970.", now.as_secs_f64());

    print!("What is your name? ");
    io::stdout().flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let name = match line.trim() {
        "" => "stranger",
        name => name,
    };
    println!("Nice to meet you, {name}.");

    fs::write(PATH, format!("This file was written by a Rust program for {name}.\n"))
        .map_err(|e| format!("cannot write {PATH}: {e}"))?;
    print!("{PATH} says: {}", fs::read_to_string(PATH)?);
    Ok(())
}
