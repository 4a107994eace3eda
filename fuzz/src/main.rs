//! `careen-fuzz TARGET`: the program that AFL++ runs. Without AFL++ it reads one input from its standard input, so a
//! crash is repeated with `careen-fuzz TARGET < crash`.

mod targets;

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let Some((_, target)) = targets::ALL.iter().find(|(name, _)| *name == wanted) else {
        let names: Vec<&str> = targets::ALL.iter().map(|(name, _)| *name).collect();
        eprintln!("careen-fuzz TARGET, one of: {}", names.join(", "));
        std::process::exit(2);
    };
    afl::fuzz!(|bytes: &[u8]| target(bytes));
}
