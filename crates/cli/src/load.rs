//! `careen image load`: the image that this program carries, onto the engine that is asked. It needs no swarm.

use crate::args::Format;
use crate::carried::{self, own_image};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::render::notes::Note;
use crate::render::print;
use crate::render::results::Loaded;
use careen_engine::Engine;
use careen_planner::needs::Platform;

/// Loads, and says what else hosts need.
pub fn load(
    engine: &Engine,
    archive: Option<&[u8]>,
    format: Format,
    console: &mut impl Console,
) -> Result<Exit, Failure> {
    let image = own_image();
    let failed = |source| Failure::NotLoaded { image: image.clone(), source };
    let info = engine.info().map_err(|why| failed(why.into()))?;
    let loaded = carried::load(engine, archive).map_err(failed)?;
    let of = |arch: &str| Platform { os: String::new(), arch: arch.to_owned() };
    let runs_there = of(&loaded.architecture).runs_on(&of(&info.architecture));
    let shown = Loaded { image, id: loaded.id, architecture: loaded.architecture, engine: info.name };
    print(&shown, format, console)?;
    if !info.architecture.is_empty() && !runs_there {
        let note = Note::OtherArchitecture {
            engine: &shown.engine,
            has: &info.architecture,
            image: &shown.architecture,
        };
        print(&note, format, console)?;
    }
    print(&Note::OthersNeedItToo, format, console)?;
    Ok(Exit::Done)
}
