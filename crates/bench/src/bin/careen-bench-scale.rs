//! `careen-bench-scale [NODES...] [plan|status|transition|idle...]`: what careen costs in swarms of 50, 500 and 5,000 nodes that are made
//! up. `BENCH=quick` measures each once. The programs are those beside this one.

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    careen_bench::scale::run(&args)
}
